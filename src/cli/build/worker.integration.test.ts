import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { moduleBytes } from '../../runtimes/node/forms/wasm/testing-module.ts';
import { parseManifest } from '../manifest/manifest.ts';
import { buildFunctions } from './build.ts';
import type { Built } from './build.ts';
import { TestingProject } from './testing-project.ts';

const FORM = 'form: workers';
const WORKER = 'export default { fetch: (request, env) => new Response(env.GREETING) };\n';

async function failure(built: Promise<Built>): Promise<string> {
  const error: unknown = await built.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.equal((error as { code?: string } | undefined)?.code, 'build_failed', (error as Error | undefined)?.message ?? 'it was built');
  return (error as Error).message;
}

test('a Worker is bundled for Workers; modules of Cloudflare stay what they are, files lie beside it', async () => {
  using project = new TestingProject({
    'src/index.ts':
      "import { env } from 'cloudflare:workers';\nimport add from './wasm/add.wasm';\nimport twin from '../lib/add.wasm?module';\nimport raw from './raw.bin';\nimport page from './page.html';\nimport kind from 'kinds';\nimport packaged from 'kinds/own.wasm';\nexport default { fetch: () => new Response(env.x), parts: () => [add, twin, raw, page, kind, packaged] };\nexport class Admin { fetch() {} }\n",
    'src/page.html': '<p>',
    'src/raw.bin': 'abc',
    'node_modules/kinds/package.json':
      '{"name":"kinds","exports":{".":{"workerd":"./workerd.js","node":"./node.js","default":"./default.js"},"./own.wasm":"./own.wasm"}}',
    'node_modules/kinds/workerd.js': "export default 'workerd';\n",
    'node_modules/kinds/node.js': "export default 'node';\n",
    'node_modules/kinds/default.js': "export default 'default';\n",
    'src/wasm/keep': '',
    'lib/keep': '',
  });
  const bytes = moduleBytes({ imports: [], exports: ['add'] });
  for (const file of ['src/wasm/add.wasm', 'lib/add.wasm', 'node_modules/kinds/own.wasm']) writeFileSync(join(project.folder, file), bytes);
  const built = await project.build('src/index.ts', FORM);
  assert.deepEqual(built.warnings, []);
  const files = readdirSync(project.unpack(built), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.deepEqual(files.map(({ name }) => name.replace(/^[0-9a-f]{8}-/, '')).sort(), [
    'add.wasm',
    'add.wasm',
    'index.mjs',
    'index.mjs.map',
    'own.wasm',
    'raw.bin',
  ]);
  // Where the form's guest would provide it.
  const shim = "const shim = 'data:text/javascript,export const env = {}'; ";
  const hooks = `process.getBuiltinModule('module').registerHooks({ resolve: (name, context, next) => name === 'cloudflare:workers' ? { url: shim, shortCircuit: true } : next(name, context) }); `;
  const file = join(project.unpack(built), 'index.mjs');
  const program = `${shim}${hooks}const worker = (await import(${JSON.stringify(file)})).default; const parts = worker.parts(); log(parts.map((part) => part instanceof WebAssembly.Module ? WebAssembly.Module.exports(part)[0].name : part instanceof ArrayBuffer ? part.byteLength : part));`;
  using empty = new TestingProject({ 'f.ts': 'export const handler = () => 1;\n' });
  assert.deepEqual(empty.run(await empty.build('f.ts'), program), ['add', 'add', 3, '<p>', 'workerd', 'add']);
});

test('a service worker stays a script, without any export', async () => {
  using project = new TestingProject({ 'worker.js': "addEventListener('fetch', (event) => event.respondWith(new Response('hi')));\n" });
  assert.equal((await project.build('worker.js', FORM)).handler, 'index.cjs');
  project.write({
    'worker.ts': "import { hi } from './hi.ts';\naddEventListener('fetch', (event) => event.respondWith(hi()));\n",
    'hi.ts': "export const hi = () => new Response('hi');\n",
  });
  assert.equal((await project.build('worker.ts', FORM)).handler, 'index.mjs');
});

test('what has no counterpart is told at the build, all at once, by name, file and line', async () => {
  using project = new TestingProject({
    'src/index.ts':
      "import { DurableObject } from 'cloudflare:workers';\nimport { EmailMessage } from 'cloudflare:email';\nimport { queue } from './part.ts';\ninterface Env { CACHE: unknown; UNUSED: unknown; AI: unknown }\n\nexport class Counter extends DurableObject<Env> {}\nexport default { async fetch(request: Request, env: Env) { const { AI } = env; await queue(env); return new HTMLRewriter().transform(new Response(String(env.CACHE) + AI + EmailMessage)); } };\n",
    'src/part.ts': "export const queue = (env: any) => env['ORDERS'].send('x');\n",
    'wrangler.toml': `name = "site"
main = "src/index.ts"

[vars]
API = "https://example.com"
LIMIT = 5
OPTIONS = { deep = true }

[[kv_namespaces]]
binding = "CACHE"
id = "1"

[[kv_namespaces]]
binding = "UNUSED"
id = "2"

[[queues.producers]]
binding = "ORDERS"
queue = "orders"

[[queues.consumers]]
queue = "orders"

[ai]
binding = "AI"

[triggers]
crons = ["*/5 * * * *"]

[[env.production.d1_databases]]
binding = "DB"
database_name = "a"
database_id = "b"

[define]
VERSION = "'1'"
`,
  });
  assert.deepEqual((await failure(project.build('src/index.ts', `${FORM}, env: { API: x, OPTIONS: '{}' }`))).split('\n').slice(1), [
    "  src/index.ts:2: the module 'cloudflare:email' of Cloudflare has no counterpart in Virga, which has cloudflare:workers and cloudflare:sockets",
    '  src/index.ts:6: Counter is a Durable Object, and Virga has none: keep its state in a database, and take the class out',
    '  wrangler.toml:9: CACHE is a KV namespace (kv_namespaces), which Virga does not have, and the code uses it; keep that in a service which is reached over HTTP or a socket',
    '  wrangler.toml:24: AI is Workers AI (ai), which Virga does not have, and the code uses it; keep that in a service which is reached over HTTP or a socket',
    '  wrangler.toml:17: ORDERS is a queue to send to (queues), which Virga does not have, and the code uses it; keep that in a service which is reached over HTTP or a socket',
  ]);
  project.write({
    'src/index.ts':
      '/** Once it had a CACHE. */\ninterface Env { API: string; DB: unknown }\nexport default { fetch: (_: Request, env: Env) => new Response(env.API + new HTMLRewriter()) };\n',
  });
  const { warnings } = await project.build('src/index.ts', `${FORM}, env: { API: x, OPTIONS: '{}' }`);
  assert.deepEqual(
    warnings.map((text) => text.replace(/(?<=, which Virga does not have).*?(?=; the code|$)/, '')),
    [
      'src/index.ts:3: HTMLRewriter of Cloudflare has no counterpart in Virga: it fails when it is made',
      'wrangler.toml:9: CACHE is a KV namespace (kv_namespaces), which Virga does not have; the code does not name it',
      'wrangler.toml:13: UNUSED is a KV namespace (kv_namespaces), which Virga does not have; the code does not name it',
      'wrangler.toml:24: AI is Workers AI (ai), which Virga does not have; the code does not name it',
      'wrangler.toml:17: ORDERS is a queue to send to (queues), which Virga does not have; the code does not name it',
      'wrangler.toml:30: DB is a D1 database (d1_databases), which Virga does not have; the code does not name it',
      'wrangler.toml:6: the variable LIMIT is not set in Virga: add it to `env` of the function in virga.yaml',
      'wrangler.toml:7: the variable OPTIONS is JSON at Cloudflare; in Virga it is a text',
      "wrangler.toml:28: the schedule '*/5 * * * *' is not read from here: declare it in virga.yaml, with a trigger of the function (`virga import` writes both)",
      "wrangler.toml:21: messages of the queue 'orders' are not read from here: declare it in virga.yaml, with a trigger of the function (`virga import` writes both)",
      'wrangler.toml:35: define is not carried over: Virga replaces nothing in the code; use variables',
    ],
  );
});

test('the wrangler file may be JSON with comments, and lie above the source', async () => {
  using project = new TestingProject({
    'apps/site/src/index.ts': 'export default { fetch: (_: Request, { DB }: { DB: unknown }) => new Response(String(DB)) };\n',
    'apps/wrangler.jsonc': '{\n  // the database\n  "d1_databases": [\n    { "binding": "DB", "database_id": "1" },\n  ],\n}\n',
  });
  assert.match(await failure(project.build('apps/site/src/index.ts', FORM)), /apps\/wrangler\.jsonc:4: DB is a D1 database/);
  project.write({ 'apps/site/wrangler.toml': 'this is = = no TOML\n' });
  const { warnings, sources } = await project.build('apps/site/src/index.ts', FORM);
  assert.match(
    warnings[0]!,
    /^apps\/site\/wrangler\.toml cannot be read, so it is not known what the Worker needs: .*:1: this is not TOML/,
  );
  assert.ok(sources.includes(join(project.folder, 'apps/site/wrangler.toml')));
});

test('a wrangler file whose main is another function of the project is not asked', async () => {
  using project = new TestingProject({ 'a.ts': WORKER, 'b.ts': WORKER, 'wrangler.toml': 'main = "./b.ts"\n\n[vars]\nGREETING = "hi"\n' });
  const manifest = parseManifest(
    'project: p\ndefaults: { form: workers }\nfunctions: { a: { source: a.ts }, b: { source: b.ts } }\n',
    join(project.folder, 'virga.yaml'),
  );
  const built = await buildFunctions(manifest, { workFolder: project.folder, cacheFolder: project.folder });
  assert.deepEqual(
    built.map(({ warnings }) => warnings.length),
    [0, 1],
  );
});

test('a source that is no Worker is refused at the build', async () => {
  using project = new TestingProject({ 'f.ts': 'export const handler = () => 1;\n', 'worker.ts': WORKER });
  assert.match(await failure(project.build('f.ts', FORM)), /f\.ts exports handler, and not default; a Worker is `export default/);
  assert.match(await failure(project.build('worker.ts', `${FORM}, handler: Admin`)), /worker\.ts exports default, and not Admin/);
});

test('what Wrangler has bundled is taken as it is, and looked at all the same', async () => {
  using project = new TestingProject({
    'dist/index.js': "import { DurableObject } from 'cloudflare:workers';\nexport default { fetch: () => new Response('x') };\n",
    'dist/page.html': '<p>',
    'dist/.dev.vars': 'SECRET=1',
  });
  const built = await project.build('dist', `${FORM}, runtime: nodejs26`);
  assert.equal(built.handler, 'index.js');
  assert.deepEqual(readdirSync(project.unpack(built)), ['index.js', 'page.html']);
  project.write({
    'dist/index.js': "import { DurableObject } from 'cloudflare:workers';\nexport default class Counter extends DurableObject {}\n",
  });
  assert.match(await failure(project.build('dist', `${FORM}, runtime: nodejs26`)), /index\.js:2: Counter is a Durable Object/);
});
