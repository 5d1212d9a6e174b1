import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { runCommandLine } from '../command-line.ts';
import { parseManifest } from '../manifest/manifest.ts';
import { importProject } from './import.ts';
import type { Imported } from './import.ts';

class Project implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'virga-import-'));

  constructor(files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, name)), { recursive: true });
      writeFileSync(join(this.folder, name), text);
    }
  }

  import(path = '', options: { stage?: string; output?: string; parameters?: Record<string, string> } = {}): Promise<Imported> {
    const { stage, output, parameters = {} } = options;
    return importProject(join(this.folder, path), {
      stage,
      parameters: new Map(Object.entries(parameters)),
      output: output === undefined ? undefined : join(this.folder, output),
    });
  }

  /** As from a terminal; the folder is `.` in what it says. */
  async cli(...args: string[]): Promise<{ status: number; out: string; err: string }> {
    const streams = { out: new PassThrough(), err: new PassThrough() };
    const status = await runCommandLine(
      args.map((arg) => arg.replace('@', this.folder)),
      {
        ...streams,
        input: process.stdin,
        settings: { url: undefined, token: undefined, dataFolder: undefined, configFolder: '/nowhere', cacheFolder: '/nowhere' },
      },
    );
    const text = (stream: PassThrough): string => String(stream.read() ?? '').replaceAll(this.folder, '.');
    return { status, out: text(streams.out), err: text(streams.err) };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const SERVICE = 'service: s\nprovider: {name: aws, runtime: nodejs24.x}\n';

test('what cannot be imported is told with the file and what was expected', async () => {
  const failing = async (files: Record<string, string>, path: string, message: RegExp, stage?: string): Promise<void> => {
    using project = new Project(files);
    await assert.rejects(project.import(path, stage === undefined ? {} : { stage }), { message });
  };
  await failing({}, 'none.yml', /^there is no file or folder '.*none\.yml'$/);
  await failing(
    {},
    '',
    /^there is nothing to import in .*; expected one of serverless\.yml, .*, template\.yaml, .*wrangler\.toml, host\.json, service\.yaml/,
  );
  await failing({ 'a.txt': '' }, 'a.txt', /^a\.txt is no file that an import knows; expected one of serverless\.yml/);
  await failing({ 'a.yml': 'x: 1' }, 'a.yml', /^a\.yml is no file that an import knows/);
  await failing(
    { 'serverless.yml': SERVICE, 'wrangler.toml': 'name = "x"' },
    '',
    /^the folder has serverless\.yml \(.*\) and wrangler\.toml \(.*\); name one of them$/,
  );
  await failing({ 'serverless.ts': '' }, '', /^serverless\.ts is code, .*serverless print > serverless\.yml$/);
  await failing({ 'cdk.json': '{}' }, '', /^cdk\.json is code, .*cdk synth > template\.yaml$/);
  await failing({ 'f/function.json': '{}' }, 'f/function.json', /name the host\.json/);
  await failing({ 'serverless.yml': 'a: [1\nb: 2' }, '', /^serverless\.yml:2:\d+: this is not YAML: /);
  await failing({ 'serverless.yml': 'a: *x' }, '', /^serverless\.yml:/);
  await failing({ 'serverless.yml': '- 1' }, '', /^serverless\.yml is no mapping; expected/);
  await failing(
    { 'serverless.yml': 'service: s\nprovider:\n  name: google\n' },
    '',
    /^serverless\.yml:2: provider is google; expected provider\.name: aws/,
  );
  await failing({ 'template.yaml': 'Parameters: {}' }, '', /^template\.yaml has no Resources; expected/);
  await failing({ 'wrangler.toml': 'name = "a"\nmain = = 1\n' }, '', /^wrangler\.toml:2: this is not TOML: /);
  await failing({ 'wrangler.jsonc': '{\n  "name": \n}' }, '', /^wrangler\.jsonc:3: this is not JSON: value expected$/);
  await failing({ 'host.json': '' }, '', /^host\.json:1: this is not JSON: /);
  await failing({ 'service.yaml': 'kind: Service' }, '', /^service\.yaml is no service of Cloud Run/);
  await failing({ 'wrangler.toml': 'name = "a"\n[env.live]\n' }, '', /^wrangler\.toml has no environment 'test'; it has live$/, 'test');
});

test('files are bounded in size, nesting and number of values', async () => {
  const failing = async (files: Record<string, string>, message: RegExp): Promise<void> => {
    using project = new Project(files);
    await assert.rejects(project.import(''), { message });
  };
  await failing({ 'serverless.yml': `${SERVICE}custom: ${'x'.repeat(5_000_000)}` }, /has 4\.8 MiB; at most 4\.0 MiB are read/);
  await failing({ 'serverless.yml': `${SERVICE}custom: ${'['.repeat(200)}${']'.repeat(200)}` }, /nested more than 100 deep/);
  const levels = Array.from(
    { length: 9 },
    (_, level) =>
      `l${level}: &l${level} [${Array(9)
        .fill(level === 0 ? 'x' : `*l${level - 1}`)
        .join(', ')}]`,
  );
  await failing({ 'serverless.yml': `${levels.join('\n')}\n` }, /more than 200000 values/);
  const many = Array.from({ length: 300 }, (_, index) => [`f${index}.yml`, 'a: 1']);
  const refers = many.map(([name], index) => `  V${index}: \${file(${name}):a}`).join('\n');
  await failing(
    { 'serverless.yml': `service: s\nprovider:\n name: aws\n environment:\n${refers}\n`, ...Object.fromEntries(many) },
    /more than 200 files are referred to/,
  );
});

test('a folder, a file by its name, and a file of another name are imported', async () => {
  using project = new Project({
    'a/serverless.api.yml': `${SERVICE}functions: {f: {handler: f.handler}}`,
    'a/f.js': '',
    'b/template.json': '{"Resources": {}}',
  });
  assert.deepEqual((await project.import('a/serverless.api.yml')).functions, ['f']);
  assert.deepEqual((await project.import('b')).functions, []);
  assert.equal((await project.import('b')).project, 'b');
});

test('the manifest can be written elsewhere; what is not below it is left out and told', async () => {
  using project = new Project({
    'services/api/serverless.yml': `${SERVICE}package: {patterns: [data/**]}\nlayers: {shared: {path: ../layer}}\nfunctions: {f: {handler: src/f.handler, layers: [!Ref SharedLambdaLayer]}}`,
    'services/api/src/f.js': '',
    'services/api/data/x.csv': '',
    'services/layer/nodejs/x.js': '',
    '.git/HEAD': '',
  });
  const above = await project.import('services/api', { output: 'virga.yaml' });
  assert.match(above.text, /source: services\/api\/src\/f\.js\n {4}handler: src\/f\.handler/);
  assert.match(above.text, /include: \["services\/api\/data\/\*\*"\]/);
  assert.match(above.text, /layers: \[services\/layer\]/);
  const here = await project.import('services/api');
  assert.doesNotMatch(here.text, /layers:/);
  assert.ok(here.items.some(({ what, note }) => what === 'layers ../layer' && note.includes('outside of the folder')));
  const below = await project.import('services/api', { output: 'services/api/src/deep/virga.yaml' });
  assert.deepEqual([below.functions, below.absent], [[], ['f']]);
  assert.match(below.text, /# f is not carried over: its source \.\.\/f\.js is outside of the folder of virga\.yaml/);
});

test('a route that two functions have goes to the first; names that collide get a number', async () => {
  using project = new Project({
    'serverless.yml': `${SERVICE}functions:
  doIt: {handler: f.a, events: [httpApi: GET /x, httpApi: HEAD /x]}
  do_it: {handler: f.b, events: [httpApi: HEAD /x, 'httpApi': 'GET,POST /x/{id}']}
  "123": {handler: f.c, events: [httpApi: '*', httpApi: {method: GET, path: '/x/{name}'}]}
  bad: {handler: f.d, events: [httpApi: 'GET /a/{b-c}', httpApi: TRACE /x, http: GET /y, httpApi: GET /z, httpApi: {method: get}]}
`,
    'f.js': '',
  });
  const { text, items } = await project.import();
  const manifest = parseManifest(text, join(project.folder, 'virga.yaml'));
  assert.deepEqual(
    manifest.routes.map(({ methods, path, function: fn }) => `${fn} ${methods?.join() ?? 'ANY'} ${path}`),
    ['do-it GET /x', 'do-it-2 GET,POST /x/{id}', 'function ANY /', 'function ANY /{proxy+}', 'bad GET /y'],
  );
  const said = items.filter((item) => item.fate === 'left').map(({ line, subject, what, note }) => `${line} ${subject} ${what}: ${note}`);
  assert.deepEqual(said, [
    '5 do-it-2 route HEAD /x: it is taken by do-it; Virga gives a route to one function',
    '6 function route GET /x/{name}: it is taken by do-it-2; Virga gives a route to one function',
    "7 bad route GET /a/{b-c}: '{b-c}' is not a parameter: a whole segment in braces, {id}, or {path+} for the rest of the path; write the route by hand",
    "7 bad route TRACE /x: 'TRACE' is not a method (GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS); write the route by hand",
    '7 bad route GET /z: the function has routes with payload 1.0 already, and Virga gives a function one kind; make it two functions',
    '7 bad event httpApi: it has no path; write the route by hand',
  ]);
});

test('settings outside of what Virga takes are brought within, and told', async () => {
  using project = new Project({
    'template.yaml': `Globals: {Function: {Runtime: nodejs24.x}}
Resources:
  A:
    Type: AWS::Serverless::Function
    Properties:
      Handler: f.handler
      MemorySize: 100000
      Timeout: 2000
      EphemeralStorage: {Size: 999999}
      ReservedConcurrentExecutions: 5000
      ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 30}
  B:
    Type: AWS::Serverless::Function
    Properties: {Handler: f.handler, MemorySize: much, ReservedConcurrentExecutions: 0, ProvisionedConcurrencyConfig: {ProvisionedConcurrentExecutions: 30}}
`,
    'f.js': '',
  });
  const { text, items } = await project.import();
  assert.deepEqual(
    items
      .filter((item) => item.fate !== 'carried' && !item.what.startsWith('function'))
      .map(({ line, subject, what, note }) => `${line} ${subject} ${what}: ${note}`),
    [
      '7 a memory 100000 MB: is 64 GiB',
      '8 a timeout 2000 s: is 15m',
      '9 a /tmp of 999999 MB: is 64 GiB',
      '9 a /tmp of 999999 MB: is the size of /tmp, which counts as memory of the instance',
      '10 a reserved concurrency 5000: is 1000 instances at most',
      '14 b Properties.MemorySize: expected a number; set it by hand',
      '14 b reserved concurrency 0: Virga switches no function off; leave it out of virga.yaml',
      '14 b provisioned concurrency 30: raises instances.max to 30',
    ],
  );
  const [a, b] = parseManifest(text, join(project.folder, 'virga.yaml')).functions;
  assert.deepEqual(
    [a!.settings.memoryMiB, a!.settings.timeoutMs, a!.settings.tmpMiB, a!.settings.instances],
    [65_536, 900_000, 65_536, { min: 30, max: 1_000 }],
  );
  assert.deepEqual(b!.settings.instances, { min: 30, max: 30 });
});

test('values of variables mean in the manifest what they meant in the file', async () => {
  const value = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.constantFrom(
      'yes',
      'null',
      '~',
      '1.10',
      '007',
      '0x1F',
      'a: b',
      '- x',
      '# c',
      '"',
      "'",
      ' x ',
      '\u00a0',
      'x\u3000',
      'a\nb',
      '{}',
      '*a',
      '&a',
      '!x',
      '%',
      '@',
      '`',
      '\u0000',
      '\u2028',
      '2026-01-01',
      '1e3',
      '',
    ),
  );
  const property = fc.asyncProperty(value, async (text) => {
    using project = new Project({ 'wrangler.json': JSON.stringify({ name: 'w', main: 'w.js', vars: { VALUE: text } }), 'w.js': '' });
    const { text: manifest, items } = await project.import();
    const [fn] = parseManifest(manifest, join(project.folder, 'virga.yaml')).functions;
    if (items.some((item) => item.fate === 'left')) return; // it looked like a secret
    assert.equal(fn!.settings.env['VALUE'], text);
  });
  await fc.assert(property, { numRuns: 150 });
});

test('no key of a file is passed over in silence', async () => {
  const word = fc.stringMatching(/^q[a-z]{6,12}q$/);
  const places = {
    'serverless.yml': (key: string): string[] => [
      `service: s\n${key}: 1\nprovider:\n  name: aws\n  ${key}a: 1\nfunctions:\n  f:\n    handler: f.handler\n    ${key}b: 1\n    events:\n      - http:\n          path: a\n          method: get\n          ${key}c: 1\n      - ${key}d: 1\nresources:\n  Resources:\n    ${key}e: {Type: X}\n`,
      '2,5,9,14,15,18',
    ],
    'template.yaml': (key: string): string[] => [
      `${key}: 1\nGlobals:\n  Function:\n    Runtime: nodejs24.x\n    ${key}a: 1\n  ${key}b: 1\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Handler: f.handler\n      ${key}c: 1\n      Events:\n        A:\n          Type: Api\n          Properties:\n            Path: /a\n            Method: get\n            ${key}d: 1\n  ${key}e: {Type: X}\n`,
      '1,5,6,12,19,20',
    ],
    'wrangler.toml': (key: string): string[] => [`name = "w"\nmain = "f.js"\n${key} = 1\n[${key}a]\nx = 1\n[[${key}b]]\nx = 1\n`, '3,4,6'],
    'host.json': (key: string): string[] => [`{\n"version": "2.0",\n"${key}": 1,\n"${key}a": {}\n}`, '3,4'],
    'service.yaml': (key: string): string[] => [
      `apiVersion: serving.knative.dev/v1\n${key}: 1\nmetadata:\n  name: s\n  ${key}a: 1\nspec:\n  ${key}b: 1\n  template:\n    ${key}c: 1\n    spec:\n      ${key}d: 1\n      containers:\n        - command: [node, f.js]\n          ${key}e: 1\n          resources: {${key}f: 1}\n`,
      '2,5,7,9,11,14,15',
    ],
  };
  const property = fc.asyncProperty(fc.constantFrom(...Object.entries(places)), word, async ([file, write], key) => {
    const [text, lines] = write(key) as [string, string];
    using project = new Project({ [file]: text, 'f.js': '', 'package.json': '{"main":"f.js"}' });
    const { items } = await project.import();
    const told = items.filter((item) => item.fate === 'left' && item.what.toLowerCase().includes(key));
    assert.equal(told.map((item) => item.line).join(), lines, JSON.stringify(items, null, 1));
  });
  await fc.assert(property, { numRuns: 60 });
});

test('the command writes once, prints with --dry-run, and overwrites with --force alone', async () => {
  using project = new Project({
    'serverless.yml': `${SERVICE}functions: {f: {handler: f.handler, events: [httpApi: GET /f]}}\n`,
    'f.js': '',
  });
  const file = join(project.folder, 'virga.yaml');
  const dry = await project.cli('import', '@', '--dry-run');
  assert.deepEqual([dry.status, existsSync(file)], [0, false]);
  assert.match(dry.out, /^# Made from serverless\.yml by .*\n[^]*project: s\n/);
  assert.match(dry.err, /Carried over as it was:\n {2}serverless\.yml:1 project s\n/);
  const json = JSON.parse((await project.cli('import', '@', '--dry-run', '--json')).out) as Record<string, unknown>;
  assert.deepEqual([json['written'], json['functions'], json['routes']], [false, ['f'], 1]);
  assert.equal(`${dry.out.trimEnd()}\n`, json['manifest']);
  const first = await project.cli('import', '@');
  assert.equal(first.status, 0, first.err);
  assert.match(first.err, /^Wrote .*virga\.yaml: 1 function, 1 route; 1 thing changed, 0 left to you\.\n$/);
  assert.equal(readFileSync(file, 'utf8'), json['manifest']);
  writeFileSync(file, 'mine');
  const second = await project.cli('import', '@');
  assert.equal(second.status, 1);
  assert.match(second.err, /virga\.yaml is there already; --force overwrites it, --dry-run prints the new one/);
  assert.equal(readFileSync(file, 'utf8'), 'mine');
  assert.equal((await project.cli('import', '@', '--force')).status, 0);
  assert.equal(readFileSync(file, 'utf8'), json['manifest']);
  const wrong = await project.cli('import', '@', '--param', 'x');
  assert.deepEqual([wrong.status, /expected NAME=VALUE/.test(wrong.err)], [2, true]);
  const nowhere = await project.cli('import', '@', '--output', '@/no/such/virga.yaml');
  assert.equal(nowhere.status, 1);
});
