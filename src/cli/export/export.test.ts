// A project with a function of each kind, exported: the template and every line of the report are those in golden/. After a change that
// is meant, `VIRGA_GOLDEN=write bin/node --test src/cli/export/export.test.ts` writes them anew, for the diff to be read.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { parse } from 'yaml';
import { unzip } from '../build/zip.ts';
import { runCommandLine } from '../command-line.ts';
import { shownReport, TestingProject } from './testing-project.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const LAMBDA = 'exports.handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });\n';
const WEB = 'export default { fetch: () => new Response("hello") };\n';
const PYTHON = 'def handler(event, context):\n    return {"ok": True}\n';

const RICH = {
  'virga.yaml': `project: rich
defaults:
  timeout: 10s
  env: { STAGE: prod, COUNTRY: no, ZIP: 01234 }
functions:
  web-style:
    source: web.mjs
    http: [GET /, 'GET,PUT /notes/{id}', '/files/{path+}']
    env: { STRIPE_KEY: sk_live_abcdefgh12345678, GREETING: "hello: you", AWS_REGION: eu-west-1, _X: "1", EMPTY_TOKEN: "" }
    egress: [api.stripe.com]
    concurrency: 10
  classic:
    source: lambda.cjs
    handler: lambda.handler
    form: lambda
    runtime: nodejs24
    httpEvent: '1.0'
    http: ['GET /classic/{id}', 'POST /classic/{other}/x']
    memory: 64 MiB
    timeout: 1500ms
    tmp: 1 GiB
    layers: [layers/shared, packed.zip]
    env: { STRIPE_KEY: sk_live_abcdefgh12345678 }
  url:
    source: streaming
    handler: index.handler
    runtime: nodejs26
    form: lambda
    httpEvent: function-url
    http: ['GET /url']
    instances: { min: 2, max: 5, windows: [{ cron: '0 8 * * 1-5', for: 10h, min: 3 }] }
  jobs:
    source: py/main.py
    timeout: 15m
    http: POST /jobs
    cpus: 2
    pids: 64
    queue: 5
    idle: 1m
    isolation: strong
    tmp: 100 MiB
  pylambda:
    source: app.py
    handler: app.handler
    form: lambda
    memory: 20 GiB
  own:
    source: own
    runtime: provided
    handler: my.handler
    layers: [layers/shared]
  server:
    source: server.mjs
    runtime: web
    http: /server/{path+}
    env: { AWS_LWA_PORT: "1" }
  binary:
    source: tool
    runtime: web
    command: [./tool, --port, it's]
  flask:
    source: flask
    runtime: web
    command: python3 -m flask run --port $PORT
  bun-app: { source: web.mjs, runtime: bun }
  deno-app: { source: web.mjs, runtime: deno }
  wasm-app: { source: probe.wasm }
  google-app: { source: lambda.cjs, form: google, handler: x }
  azure-app: { source: lambda.cjs, form: azure }
  worker: { source: web.mjs, form: workers }
`,
  'web.mjs': WEB,
  'lambda.cjs': LAMBDA,
  'streaming/index.mjs': 'export const handler = awslambda.streamifyResponse(async (event, stream) => stream.end("x"));\n',
  'streaming/opt/tools/run': 'x',
  'py/main.py': PYTHON,
  'app.py': PYTHON,
  'own/bootstrap': '#!/bin/sh\n',
  'own/my.sh': '',
  'layers/shared/nodejs/shared.js': 'exports.shared = 1;\n',
  'server.mjs': 'import { createServer } from "node:http";\ncreateServer().listen(process.env.PORT);\n',
  tool: '#!/bin/sh\n',
  'flask/app.py': '',
  'probe.wasm': Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]),
};

test('a project with a function of each kind becomes the template and the report in golden/', async () => {
  using layer = new TestingProject({
    'virga.yaml': 'project: l\nfunctions: {f: {source: f.mjs, layers: [x]}}',
    'f.mjs': WEB,
    'x/bin/tool': 'x',
  });
  await layer.export();
  using project = new TestingProject({ ...RICH, 'packed.zip': readFileSync(join(layer.folder, 'out', 'layers', 'X.zip')) });
  const exported = await project.export();
  holds('expected.template.yaml', readFileSync(join(project.folder, 'out', 'template.yaml'), 'utf8'));
  holds('expected.report.txt', shownReport(exported));
  assert.deepEqual(
    exported.absent.map(({ name }) => name),
    ['bun-app', 'deno-app', 'wasm-app', 'google-app', 'azure-app', 'worker'],
  );
  assert.deepEqual(readdirSync(join(project.folder, 'out')).toSorted(), [
    'binary.zip',
    'classic.zip',
    'flask.zip',
    'jobs.zip',
    'layers',
    'own.zip',
    'pylambda.zip',
    'server.zip',
    'template.yaml',
    'url.zip',
    'web-style.zip',
  ]);
  assert.deepEqual(exported.files.toSorted(), everyFile(join(project.folder, 'out')));
});

test('a secret is in no file of an export but the code that has it; functions share its parameter', async () => {
  using project = new TestingProject({
    'virga.yaml': `project: s
functions:
  a: { source: web.mjs, env: { API_TOKEN: hunter2hunter2, DATABASE: 'postgres://me:pw12345@db/x' } }
  b: { source: web.mjs, env: { API_TOKEN: hunter2hunter2 } }
  c: { source: web.mjs, env: { API_TOKEN: another1another } }
`,
    'web.mjs': WEB,
  });
  const exported = await project.export();
  const text = readFileSync(join(project.folder, 'out', 'template.yaml'), 'utf8');
  assert.doesNotMatch(text + JSON.stringify(exported), /hunter2|pw12345|another1/);
  assert.deepEqual(exported.parameters, ['ApiToken', 'Database', 'ApiToken2']);
  const template = parse(text) as Template;
  assert.deepEqual(template.Parameters!['ApiToken'], {
    Type: 'String',
    NoEcho: true,
    Description: 'The variable API_TOKEN of the function a',
  });
  assert.deepEqual(template.Resources['BFunction']!.Properties['Environment'], { Variables: { API_TOKEN: { Ref: 'ApiToken' } } });
});

test('the same project gives the same bytes, in another folder and another time zone', async () => {
  using project = new TestingProject(RICH_WITHOUT_ZIP);
  using outputs = new TestingProject({});
  const [one, other] = [join(outputs.folder, 'one'), join(outputs.folder, 'other')];
  const zone = process.env['TZ'];
  try {
    process.env['TZ'] = 'Asia/Tokyo';
    await project.export(one);
    process.env['TZ'] = 'America/Lima';
    await project.export(other);
  } finally {
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  }
  const names = everyFile(one);
  assert.ok(names.length >= 10);
  for (const name of names) assert.deepEqual(readFileSync(join(one, name)), readFileSync(join(other, name)), name);
});

test('modes and links are in the zip, and nothing of an earlier export', async () => {
  using project = new TestingProject({
    'virga.yaml': 'project: p\nfunctions: {f: {source: ., runtime: provided}}',
    bootstrap: '#!/bin/sh\n',
    'lib/real.txt': 'real',
  });
  symlinkSync('lib/real.txt', join(project.folder, 'link.txt'));
  await project.export('aws');
  await project.export('aws', { force: true });
  const unpacked = mkdtempSync(join(tmpdir(), 'virga-unpacked-'));
  try {
    await unzip(join(project.folder, 'aws', 'f.zip'), 'f.zip', unpacked);
    assert.deepEqual(everyFile(unpacked), ['bootstrap', 'lib/real.txt', 'link.txt']);
    assert.equal(statSync(join(unpacked, 'bootstrap')).mode & 0o777, 0o755);
    assert.equal(statSync(join(unpacked, 'lib/real.txt')).mode & 0o777, 0o644);
    assert.equal(readlinkSync(join(unpacked, 'link.txt')), 'lib/real.txt');
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
});

test('packages of Python lie at the top, where AWS looks for them; the function’s own files win', async () => {
  using project = new TestingProject({
    'virga.yaml': 'project: p\nfunctions: {f: {source: code.zip, runtime: python3, handler: main.handler, form: lambda}}',
  });
  const { writeZip } = await import('./zip-archive.ts');
  const file = (path: string) => ({ path, content: Buffer.from(path) });
  await writeZip(
    [
      'main.py',
      'mine.py',
      '.packages/mine/__init__.py',
      '.packages/other/__init__.py',
      '.packages/other/fast.cpython-311-x86_64-linux-gnu.so',
    ].map(file),
    join(project.folder, 'code.zip'),
  );
  await project.export();
  const unpacked = join(project.folder, 'unpacked');
  await unzip(join(project.folder, 'out', 'f.zip'), 'f.zip', unpacked);
  assert.deepEqual(everyFile(unpacked), ['main.py', 'mine.py', 'other/__init__.py', 'other/fast.cpython-311-x86_64-linux-gnu.so']);
  const template = parse(readFileSync(join(project.folder, 'out', 'template.yaml'), 'utf8')) as Template;
  assert.equal(template.Resources['FFunction']!.Properties['Runtime'], 'python3.11');
});

test('a zip that was exported is exported again with one adapter; a file of the author’s is not overwritten', async () => {
  using project = new TestingProject({ 'virga.yaml': 'project: p\nfunctions: {f: {source: f.mjs}}', 'f.mjs': WEB });
  await project.export('out');
  project.write('virga.yaml', 'project: p\nfunctions: {f: {source: out/f.zip, runtime: nodejs26, handler: index.default}}');
  await project.export('again');
  const unpacked = join(project.folder, 'unpacked');
  await unzip(join(project.folder, 'again', 'f.zip'), 'f.zip', unpacked);
  assert.deepEqual(everyFile(unpacked), ['index.mjs', 'index.mjs.map', 'virga_adapter.mjs', 'virga_lambda.mjs']);
  project.write('mine/index.mjs', WEB);
  project.write('mine/virga_lambda.mjs', 'mine');
  project.write('virga.yaml', 'project: p\nfunctions: {f: {source: mine, runtime: nodejs26, handler: index.default}}');
  await assert.rejects(project.export('third'), {
    message: 'virga_lambda.mjs has the name of the adapter that an export needs; rename the file',
  });
});

test('a text is a text for AWS too, whose YAML is 1.1', async () => {
  const values = {
    COUNTRY: 'no',
    ZIP: '01234',
    TIME: '12:30:00',
    DAY: '2026-01-02',
    HEX: '0x1F',
    NONE: '~',
    COLON: 'a: b',
    HASH: 'a #b',
    LINES: 'a\nb',
    ON: 'on',
  };
  using project = new TestingProject({
    'virga.yaml': `project: p\nfunctions: {f: {source: f.mjs, env: ${JSON.stringify(values)}}}`,
    'f.mjs': WEB,
  });
  await project.export();
  const template = parse(readFileSync(join(project.folder, 'out', 'template.yaml'), 'utf8'), { version: '1.1' }) as Template;
  assert.deepEqual(template.Resources['FFunction']!.Properties['Environment'], { Variables: values });
});

test('nothing is overwritten without --force, and nothing is written when a function cannot be built', async () => {
  using project = new TestingProject({ 'virga.yaml': 'project: p\nfunctions: {f: {source: f.mjs}}', 'f.mjs': WEB, 'out/mine.txt': 'mine' });
  await assert.rejects(project.export(), {
    message: /out is there already and not empty; --force overwrites what is in it, --output names another folder$/,
  });
  assert.deepEqual(readdirSync(join(project.folder, 'out')), ['mine.txt']);
  await project.export('out', { force: true });
  assert.deepEqual(readdirSync(join(project.folder, 'out')).toSorted(), ['f.zip', 'mine.txt', 'template.yaml']);
  project.write('f.mjs', 'export default {');
  await assert.rejects(project.export('broken'), { code: 'build_failed' });
  assert.throws(() => statSync(join(project.folder, 'broken')), { code: 'ENOENT' });
});

test('an unknown cloud is answered with those that there are, and the report comes as JSON', async () => {
  using project = new TestingProject({ 'virga.yaml': 'project: p\nfunctions: {f: {source: f.mjs}}', 'f.mjs': WEB });
  const run = async (...args: string[]): Promise<{ status: number; out: string; err: string }> => {
    const streams = { out: new PassThrough(), err: new PassThrough() };
    const settings = { url: undefined, token: undefined, dataFolder: undefined, configFolder: '/nowhere', cacheFolder: '/nowhere' };
    const status = await runCommandLine(['export', project.folder, ...args], { ...streams, input: process.stdin, settings });
    return { status, out: String(streams.out.read() ?? ''), err: String(streams.err.read() ?? '') };
  };
  const azure = await run('--to', 'azure');
  assert.equal(azure.status, 2);
  assert.match(azure.err, /'--to <cloud>' argument 'azure' is invalid. Allowed choices are lambda\./);
  const without = await run();
  assert.equal(without.status, 2);
  assert.match(without.err, /required option '--to <cloud>' not specified/);
  const json = await run('--to', 'lambda', '--output', join(project.folder, 'out'), '--json');
  assert.equal(json.status, 0, json.err);
  const answer = JSON.parse(json.out) as { files: string[]; counts: object; items: { subject: string }[] };
  assert.deepEqual(answer.files, ['template.yaml', 'f.zip']);
  assert.deepEqual(answer.counts, { carried: 3, changed: 2, left: 0 });
  assert.ok(answer.items.every(({ subject }) => subject === 'f'));
});

interface Template {
  Parameters?: Record<string, object>;
  Resources: Record<string, { Properties: Record<string, unknown> }>;
}

const RICH_WITHOUT_ZIP = { ...RICH, 'virga.yaml': RICH['virga.yaml'].replace(', packed.zip', '') };

function everyFile(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}

function holds(name: string, text: string): void {
  const file = join(GOLDEN, name);
  if (process.env['VIRGA_GOLDEN'] === 'write') writeFileSync(file, text);
  assert.equal(text, readFileSync(file, 'utf8'));
}
