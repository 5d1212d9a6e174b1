// Programs that serve HTTP on $PORT: examples/web deployed as it is, called over HTTP and by events; and programs that end, never
// listen, or are asked to stop.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, copyFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, ROOT, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';
import {
  CLOUD_EVENT,
  answerOf,
  assertCarriesLargeBody,
  assertStreamsBothWays,
  chunksOf,
  cloudEvent,
  invoke,
  logOf,
  open,
} from './clients.ts';

let virga: Virga;
const folders: string[] = [];

before(async () => {
  virga = await startVirga({ env: { VIRGA_LIMIT_LOAD_TIMEOUT_MS: '15000' } });
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', 'web')]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A project of its own, with these files. */
async function deploy(files: Record<string, string>, more: (folder: string) => Promise<void> = async () => {}): Promise<CliResult> {
  const folder = await temporaryFolder('virga-web-');
  folders.push(folder);
  await writeFiles(folder, files);
  await more(folder);
  const deployed = await virga.cli(['deploy', folder]);
  assert.equal(deployed.code, 0, deployed.stderr);
  return deployed;
}

test('an Express app answers, and sees where it runs and what it was asked', async () => {
  const response = await virga.fetch('web', '/express?name=Ada%20L');
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('x-powered-by'), 'Express');
  assert.equal(response.headers.get('connection'), 'keep-alive');
  assert.deepEqual(await response.json(), { hello: 'Ada L', service: 'express', host: '127.0.0.1' });
  assert.equal((await virga.fetch('web', '/express', { headers: { 'if-none-match': response.headers.get('etag')! } })).status, 200);
  const json = await virga.fetch('web', '/express/json', {
    method: 'POST',
    body: '{"a":[1]}',
    headers: { 'content-type': 'application/json' },
  });
  assert.deepEqual([json.status, await json.json()], [201, { got: { a: [1] } }]);
  const head = await virga.fetch('web', '/express', { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
  assert.ok(Number(head.headers.get('content-length')) > 10);
  assert.equal((await virga.fetch('web', '/express/nothing-here')).status, 404);
});

test('request and answer stream at the same time', () =>
  assertStreamsBothWays(virga, 'web', '/express/upper', (text) => text.toUpperCase()));

test('server-sent events arrive when they are sent', async () => {
  const response = await virga.fetch('web', '/express/events');
  assert.match(response.headers.get('content-type')!, /^text\/event-stream/);
  const chunks: { text: string; ms: number }[] = [];
  for await (const chunk of chunksOf(response.body!)) chunks.push(chunk);
  assert.equal(chunks.length, 3);
  assert.match(chunks[0]!.text, /^event: tick\nid: 1\n/);
  assert.ok(chunks[2]!.ms - chunks[0]!.ms > 300, 'all came at once');
});

test('a body of 20 MB comes back as it went', () => assertCarriesLargeBody(virga, 'web', '/express/echo'));

test('one instance takes many requests at once by default', async () => {
  await virga.fetch('web', '/fastify');
  const answers = await Promise.all(Array.from({ length: 20 }, () => virga.fetch('web', '/fastify/together?of=20')));
  const most = await Promise.all(answers.map(async (answer) => ((await answer.json()) as { most: number }).most));
  assert.equal(Math.max(...most), 20);
});

test('the program hears that the client left, in the log of the call', async () => {
  const request = open(virga, 'web', '/express/wait', { method: 'GET' });
  request.on('error', () => {});
  request.end();
  const response = await answerOf(request);
  response.on('error', () => {});
  for await (const _ of response) break;
  request.destroy();
  await logOf(virga, 'express', 'web', /the client left/);
  const record = await eventually(async () => {
    const { stdout } = await virga.cli(['invocations', 'express', '--project', 'web', '--json', '--outcome', 'client_closed_request']);
    return (JSON.parse(stdout) as { request: string }[])[0];
  });
  assert.equal(record.request, 'GET /express/wait');
});

test('an event is a POST to /, and what the program answers is the result', async () => {
  const plain = await invoke(virga, 'express', 'web', { a: 1 });
  assert.deepEqual(plain.result?.json, { type: null, id: null, data: { a: 1 } });
  const event = await invoke(virga, 'express', 'web', cloudEvent('com.example.made', { b: 2 }), CLOUD_EVENT);
  assert.deepEqual(event.result?.json, { type: 'com.example.made', id: 'e-1', data: { b: 2 } });
  assert.deepEqual(
    event.logs.map(({ text }) => text),
    ['event com.example.made'],
  );
  const refused = await invoke(virga, 'express', 'web', { fail: true });
  assert.equal(refused.error?.code, 'function_error');
  assert.equal(refused.error.message, "function 'express' failed: the program answered the event with status 500");
  assert.ok(refused.logs.some(({ text }) => text.includes('it cannot be done')));
});

test('a program that ends in a call fails that call alone, and says how it ended', async () => {
  const response = await virga.fetch('web', '/express/crash');
  assert.equal(response.status, 502);
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  assert.equal(error.code, 'function_crashed');
  assert.match(error.message, /'express' crashed: its process exited with code 3 during the call/);
  assert.equal((await virga.fetch('web', '/express')).status, 200);
  const log = await logOf(virga, 'express', 'web', /the program exited with code 3; the instance ends/);
  assert.match(log, /nothing can be done/);
});

test('a Fastify app with schemas and notes', async () => {
  assert.deepEqual(await (await virga.fetch('web', '/fastify')).json(), { hello: 'fastify' });
  const put = (text: string) =>
    virga.fetch('web', '/fastify/notes/7', {
      method: 'PUT',
      body: JSON.stringify({ text }),
      headers: { 'content-type': 'application/json' },
    });
  assert.equal((await put('milk')).status, 201);
  assert.equal((await put('bread')).status, 200);
  assert.deepEqual(await (await virga.fetch('web', '/fastify/notes/7')).json(), { text: 'bread' });
  assert.equal((await virga.fetch('web', '/fastify/notes/7', { method: 'DELETE' })).status, 204);
  assert.equal((await virga.fetch('web', '/fastify/notes/7')).status, 404);
});

test("a Flask app with the machine's own Flask", async () => {
  assert.deepEqual(await (await virga.fetch('web', '/flask?name=Grace')).json(), { hello: 'Grace', revision: 'flask-00001' });
  const response = await virga.fetch('web', '/flask/slowly');
  const chunks: { text: string; ms: number }[] = [];
  for await (const chunk of chunksOf(response.body!)) chunks.push(chunk);
  assert.equal(chunks.map(({ text }) => text).join(''), '0\n1\n2\n');
  assert.ok(chunks.length > 1, 'all came at once');
  const sum = await virga.fetch('web', '/flask/sum', { method: 'POST', body: '[1,2,3]', headers: { 'content-type': 'application/json' } });
  assert.deepEqual(await sum.json(), { sum: 6 });
  const event = await invoke(virga, 'flask', 'web', cloudEvent('com.example.made', [1]), CLOUD_EVENT);
  assert.deepEqual(event.result?.json, { type: 'com.example.made', data: [1] });
  assert.deepEqual(
    event.logs.filter(({ level }) => level === 'info').map(({ text }) => text),
    ['event com.example.made'],
  );
});

test("Google's functions-framework, unmodified: an HTTP function and a CloudEvent function", async () => {
  assert.deepEqual(await (await virga.fetch('web', '/greet/you?name=Ada')).json(), { hello: 'Ada', path: '/greet/you' });
  const posted = await virga.fetch('web', '/greet', {
    method: 'POST',
    body: '{"name":"Bo"}',
    headers: { 'content-type': 'application/json' },
  });
  assert.deepEqual(await posted.json(), { hello: 'Bo', path: '/greet' });
  assert.deepEqual((await invoke(virga, 'greet', 'web', { name: 'Cy' })).result?.json, { hello: 'Cy', path: '/' });

  const event = await invoke(virga, 'audit', 'web', cloudEvent('com.example.paid', { amount: 3 }), CLOUD_EVENT);
  assert.equal(event.error, null);
  // The framework's own first lines may still be on their way.
  assert.equal(event.logs.at(-1)?.text, 'audited com.example.paid e-1 from /tests: {"amount":3}');
  const headers = { 'content-type': 'application/json', 'ce-id': 'e-2', 'ce-type': 't', 'ce-source': '/s', 'ce-specversion': '1.0' };
  assert.equal((await virga.fetch('web', '/audit', { method: 'POST', body: '{}', headers })).status, 204);
  const failed = await invoke(virga, 'audit', 'web', cloudEvent('com.example.paid', { fail: true }), CLOUD_EVENT);
  assert.match(failed.error!.message, /the program answered the event with status 500/);
});

test('a folder served by a static binary', async () => {
  const response = await virga.fetch('web', '/site/index.html');
  assert.equal(response.headers.get('content-type'), 'text/html');
  assert.match(await response.text(), /Served by a static binary/);
  assert.equal((await virga.fetch('web', '/site/absent')).status, 404);
});

test('programs that are deployed themselves: a static binary with arguments, and an executable script', async () => {
  const manifest = `project: own
functions:
  binary: { source: busybox-own, runtime: web, command: './busybox-own httpd -f -p "$PORT" -h /usr/share', http: "/binary/{path+}" }
  script: { source: start, runtime: web, http: /script }
`;
  const script = `#!/usr/bin/env node
require('node:http').createServer((request, response) => response.end('from ' + __filename)).listen(process.env.PORT);
`;
  await deploy({ 'virga.yaml': manifest, start: script }, async (folder) => {
    // It is what its name says: busybox, then the applet.
    await copyFile(execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim(), join(folder, 'busybox-own'));
    await chmod(join(folder, 'busybox-own'), 0o755);
  });
  // It serves nothing at this path, and says so itself.
  assert.equal((await virga.fetch('own', '/binary/no-such-file')).status, 404);
  assert.match(await (await virga.fetch('own', '/script')).text(), /^from \/.*\/start$/);
});

test('SIGTERM is heard before the instance goes', async () => {
  const manifest = `project: brief
functions:
  brief: { source: server.mjs, runtime: web, idle: 0s, http: / }
`;
  const server = `
import { createServer } from 'node:http';
const server = createServer((request, response) => response.end('hello')).listen(process.env.PORT);
process.on('SIGTERM', () => {
  console.log('told to stop');
  server.close();
  server.closeAllConnections();
  setTimeout(() => { console.log('stopped'); process.exit(0); }, 300);
});
`;
  await deploy({ 'virga.yaml': manifest, 'server.mjs': server });
  assert.equal(await (await virga.fetch('brief', '/')).text(), 'hello');
  const log = await logOf(virga, 'brief', 'brief', /stopped/);
  assert.match(log, /told to stop[^]*stopped/);
  assert.doesNotMatch(log, /the instance ends/);
});

test('a program that ends at once, or listens elsewhere, is a load error that says what to do', async () => {
  const manifest = `project: broken
functions:
  ends: { source: ends.mjs, runtime: web, http: /ends }
  elsewhere: { source: elsewhere.mjs, runtime: web, http: /elsewhere }
  absent: { source: ends.mjs, runtime: web, command: no-such-program --port 1, http: /absent }
  hungry: { source: hungry.mjs, runtime: web, memory: 96 MiB, command: node --max-old-space-size=2000 hungry.mjs, http: /hungry }
`;
  await deploy({
    'virga.yaml': manifest,
    'ends.mjs': "console.error('DATABASE_URL is not set'); process.exit(7);",
    'elsewhere.mjs': "import { createServer } from 'node:http'; createServer().listen(3456);",
    'hungry.mjs': 'const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1));',
  });
  const errorOf = async (path: string): Promise<{ code: string; message: string }> => {
    const response = await virga.fetch('broken', path);
    assert.ok(response.status >= 500);
    return ((await response.json()) as { error: { code: string; message: string } }).error;
  };
  const ends = await errorOf('/ends');
  assert.equal(ends.code, 'function_load_failed');
  assert.match(ends.message, /the program 'node index\.mjs' exited with code 7 before it listened on port \d+, the value of PORT\./);
  assert.match(ends.message, /DATABASE_URL is not set/);
  assert.match(
    (await errorOf('/absent')).message,
    /the program 'no-such-program --port 1' exited with code 127 .* a command that is not found/,
  );
  const elsewhere = await errorOf('/elsewhere');
  assert.match(
    elsewhere.message,
    /nothing accepts connections on port \d+(?:; it listens on 3456)?: it must listen on the port that the environment variable PORT names/,
  );
  assert.equal((await errorOf('/hungry')).code, 'function_out_of_memory');
});

test('a stack names the file and line of the author, also of what ends a program', async () => {
  const manifest = `project: stacks
functions:
  stacks: { source: src/server.ts, runtime: web, http: "/{path+}" }
`;
  const server = `import { createServer } from 'node:http';
interface Nothing { never: string }

function broken(): never {
  throw new Error('on line five');
}
createServer((request, response) => {
  if (request.url === '/throw') return broken();
  try { broken(); } catch (error) { response.end((error as Error).stack); }
}).listen(process.env['PORT']);
`;
  await deploy({ 'virga.yaml': manifest, 'src/server.ts': server });
  // Maps are read a second after the program began: a server that starts does not wait for them.
  const stack = await eventually(async () => {
    const text = await (await virga.fetch('stacks', '/caught')).text();
    return text.includes('server.ts') ? text : undefined;
  });
  assert.match(stack, /src\/server\.ts:5:/);
  assert.equal((await virga.fetch('stacks', '/throw')).status, 502);
  await logOf(virga, 'stacks', 'stacks', /src\/server\.ts:5/);
});

test('a program that would be given no code is refused at deploy', async () => {
  const folder = await temporaryFolder('virga-web-');
  folders.push(folder);
  await writeFile(join(folder, 'virga.yaml'), 'project: none\nfunctions:\n  none: { source: app, runtime: web }\n');
  await writeFiles(folder, { 'app/package.json': '{"scripts":{"start":"next start"}}' });
  const { code, stderr } = await virga.cli(['deploy', folder]);
  assert.notEqual(code, 0);
  assert.match(stderr, /set `command` to what starts the program \(its package\.json says: `command: next start`\)/);
});
