// What is exported and imported again is what it was, in everything that both know: names, runtime, form, handler, routes, settings,
// variables, layers. What AWS bounds otherwise, or has no counterpart for, is not in these manifests: the report's tests have it.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { importProject } from '../import/import.ts';
import { parseManifest, readManifest } from '../manifest/manifest.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { TestingProject } from './testing-project.ts';
import { writeZip } from './zip-archive.ts';

/** Each takes 80 ms. */
const RUNS = 20;

/** Kinds of code that both clouds run, each as an archive: a build would take the most of the time, and changes none of this. */
const KINDS = [
  { runtime: 'nodejs26', form: 'lambda', source: 'node.zip', handler: 'index.handler' },
  { runtime: 'nodejs24', form: 'lambda', source: 'node.zip', handler: 'src/api.get.item' },
  { runtime: 'nodejs26', form: 'native', source: 'node.zip', handler: 'index.default' },
  { runtime: 'nodejs24', form: 'native', source: 'node.zip', handler: 'src/api.get' },
  { runtime: 'python3', form: 'lambda', source: 'python.zip', handler: 'pkg/main.run' },
  { runtime: 'python3', form: 'native', source: 'python.zip', handler: 'app.handler' },
  { runtime: 'provided', form: 'native', source: 'own.zip', handler: 'bootstrap' },
] as const;

const name = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,12}[a-z0-9])?$/);
const segment = fc.oneof(
  fc.stringMatching(/^[a-z0-9_.~-]{1,8}$/).filter((text) => !/^\.+$/.test(text)),
  fc.stringMatching(/^\{[A-Za-z_][a-z0-9_]{0,6}\}$/),
);
const path = fc
  .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('', '/{rest+}'))
  .map(([segments, rest]) => `${segments.map((one) => `/${one}`).join('')}${rest}` || '/')
  .filter((text) => new Set(text.match(/\{\w+/g)).size === (text.match(/\{\w+/g) ?? []).length);
const methods = fc.option(
  fc.uniqueArray(fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'), { minLength: 1, maxLength: 3 }),
  { nil: null },
);
const variable = fc.tuple(
  fc
    .stringMatching(/^(?:APP|LOG|Mode)[A-Z0-9_]{0,6}$/)
    .filter((text) => text.length > 1 && !/(?:PW|PIN|DSN|KEY|PASS|AUTH|SALT|CERT|TOKEN|PWD)/.test(text)),
  fc.oneof(
    fc.constantFrom('no', '012', '1:30', '', 'a: b', '~', '# x', 'x\ny', '{{a}}', '${AWS::Region}', '!Ref x', "it's", '"', ' '),
    fc.stringMatching(/^[ -~]{0,12}$/),
  ),
);
const fn = fc.record({
  kind: fc.constantFrom(...KINDS),
  routes: fc.array(fc.record({ path, methods }), { maxLength: 4 }),
  httpEvent: fc.constantFrom('2.0', '1.0'),
  memory: fc.integer({ min: 128, max: 10_240 }),
  timeout: fc.integer({ min: 1, max: 900 }),
  tmp: fc.option(fc.integer({ min: 512, max: 10_240 }), { nil: undefined }),
  min: fc.integer({ min: 0, max: 5 }),
  max: fc.integer({ min: 5, max: 1_000 }),
  env: fc.array(variable, { maxLength: 4 }),
  layers: fc.subarray(['layers/one', 'two.zip']),
});
const project = fc.record({ project: name, functions: fc.dictionary(name, fn, { minKeys: 1, maxKeys: 4 }) });
type Generated = typeof project extends fc.Arbitrary<infer T> ? T : never;

test('import(export(x)) is x, for what both know', async () => {
  using folder = await archives();
  await fc.assert(
    fc.asyncProperty(project, async (generated) => {
      writeFileSync(join(folder.folder, 'virga.yaml'), JSON.stringify(manifestOf(generated)));
      let manifest: Manifest;
      try {
        manifest = readManifest(folder.folder);
      } catch (error) {
        // Two routes of one shape; anything else is a mistake of this test.
        if (/is already taken by/.test((error as Error).message)) return fc.pre(false);
        throw error;
      }
      assert.deepEqual(await roundTrip(folder, manifest), essence(manifest));
    }),
    { numRuns: RUNS },
  );
});

test('a project whose functions have URLs of their own comes back with one of them', async () => {
  using folder = await archives();
  folder.write(
    'virga.yaml',
    "project: url\nfunctions: {hello: {source: node.zip, runtime: nodejs26, form: lambda, handler: index.handler, httpEvent: function-url, http: ['/', '/{proxy+}']}}",
  );
  const manifest = readManifest(folder.folder);
  assert.deepEqual(await roundTrip(folder, manifest), essence(manifest));
});

async function roundTrip(folder: TestingProject, manifest: Manifest): Promise<object> {
  const exported = await folder.export('aws', { force: true });
  assert.deepEqual(exported.absent, []);
  const at = join(folder.folder, 'aws');
  const imported = await importProject(join(at, 'template.yaml'), { stage: undefined, parameters: new Map(), output: undefined });
  assert.deepEqual(imported.absent, []);
  const back = parseManifest(imported.text, join(at, 'virga.yaml'));
  // Layers have names of the export's: what is in them counts.
  const names = new Map(
    manifest.functions.flatMap((one, index) => one.layers.map((layer, order) => [back.functions[index]!.layers[order]!, layer])),
  );
  return essence(back, (layer) => names.get(layer) ?? layer);
}

/** What both know of a manifest. Where the code lies is another matter: it is in the zips. */
function essence({ project: named, functions, routes }: Manifest, layerName = (layer: string): string => layer): object {
  return {
    project: named,
    functions: functions.map(({ name: own, handler, settings, layers }) => ({
      name: own,
      handler,
      runtime: settings.runtime,
      form: settings.form,
      httpEvent: routes.some((route) => route.function === own) ? (settings.httpEvent ?? '2.0') : '2.0',
      memoryMiB: settings.memoryMiB,
      timeoutMs: settings.timeoutMs,
      tmpMiB: settings.tmpMiB,
      instances: settings.instances,
      env: settings.env,
      layers: layers.map(layerName),
    })),
    // One for each method: how they were grouped is not known at AWS. GET answers HEAD.
    routes: routes
      .flatMap(({ path: where, methods: list, function: owner }) => (list ?? ['ANY']).map((method) => `${owner} ${method} ${where}`))
      .filter((route, _index, all) => !(route.includes(' HEAD ') && all.includes(route.replace(' HEAD ', ' GET '))))
      .toSorted(),
  };
}

function manifestOf({ project: named, functions }: Generated): object {
  return {
    project: named,
    functions: Object.fromEntries(
      Object.entries(functions).map(([own, { kind, routes, httpEvent, memory, timeout, tmp, min, max, env, layers }]) => [
        own,
        {
          ...kind,
          memory,
          timeout: `${timeout}s`,
          ...(tmp === undefined ? {} : { tmp }),
          instances: { min, max },
          env: Object.fromEntries(env),
          layers,
          http: routes.map(({ path: where, methods: list }) => (list === null ? where : { path: where, methods: list })),
          ...(kind.form === 'lambda' || kind.runtime === 'provided' ? { httpEvent } : {}),
        },
      ]),
    ),
  };
}

async function archives(): Promise<TestingProject> {
  const folder = new TestingProject({ 'layers/one/nodejs/one.js': '1' });
  const file = (at: string, executable = false) => ({ path: at, content: Buffer.from(''), executable });
  await writeZip([file('index.mjs'), file('src/api.js')], join(folder.folder, 'node.zip'));
  await writeZip([file('app.py'), file('pkg/main.py')], join(folder.folder, 'python.zip'));
  await writeZip([file('bootstrap', true)], join(folder.folder, 'own.zip'));
  await writeZip([file('bin/two')], join(folder.folder, 'two.zip'));
  mkdirSync(join(folder.folder, 'aws'));
  return folder;
}
