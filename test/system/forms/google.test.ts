// Google's functions in Node, with the unmodified functions framework from npm, and in Python: examples/google deployed, called over
// HTTP and by every kind of event; what goes wrong included.
import assert from 'node:assert/strict';
import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT, startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';

const EXAMPLE = join(ROOT, 'examples', 'google');
const EVENT = 'application/cloudevents+json';

let virga: Virga;
const folders: string[] = [];

before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', EXAMPLE]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A project of these files; `packages`: with those of this repository installed. */
async function deploy(files: Record<string, string>, packages = true): Promise<CliResult> {
  const folder = await temporaryFolder('virga-google-');
  folders.push(folder);
  await writeFiles(folder, files);
  if (packages) await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return virga.cli(['deploy', folder]);
}

function event(type: string, fields: Record<string, unknown>): string {
  return JSON.stringify({ specversion: '1.0', id: 'evt_1', source: '/projects/google/x', type, time: '2026-01-01T00:00:00Z', ...fields });
}

async function invoke(fn: string, data: string, type = EVENT): Promise<CliResult> {
  return virga.cli(['invoke', fn, '--project', 'google', '--data', data, '--content-type', type]);
}

const message = (id: string, body: string, group?: string): object => ({
  id,
  body,
  attributes: { kind: 'test' },
  attempt: 1,
  sentAt: Date.parse('2026-01-01T00:00:00Z'),
  firstReceivedAt: Date.parse('2026-01-01T00:00:01Z'),
  ...(group === undefined ? {} : { group }),
});

const OBJECT = event('virga.storage.object.created', {
  subject: 'a/ü.txt',
  data: { bucket: 'uploads', key: 'a/ü.txt', bytes: 3, etag: 'e', contentType: 'text/plain', version: '17' },
});

test('Node: an HTTP function gets Express’s request and response', async () => {
  const got = await virga.fetch('google', '/greet?name=Ada');
  assert.equal(got.status, 200);
  assert.match(got.headers.get('content-type')!, /^text\/html/);
  assert.deepEqual(got.headers.getSetCookie(), ['seen=Ada; Path=/; HttpOnly']);
  assert.equal(await got.text(), 'Hello Ada!');
  const body = JSON.stringify({ name: 'Zoë' });
  const posted = await virga.fetch('google', '/greet/any/path', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  assert.equal(await posted.text(), 'Hello Zoë!');
  assert.equal(posted.headers.get('x-raw-bytes'), String(Buffer.byteLength(body)));
  const form = await virga.fetch('google', '/greet', { method: 'POST', body: new URLSearchParams({ name: 'Form' }) });
  assert.equal(await form.text(), 'Hello Form!');
  const head = await virga.fetch('google', '/greet', { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '12', '']);
  // What browsers ask for by themselves never reaches a function on Google.
  assert.equal((await virga.fetch('google', '/greet/favicon.ico')).status, 200);
});

test('Node: a large body comes whole, from a client that says its length and from one that does not', async () => {
  const bytes = Buffer.alloc(2 * 1024 * 1024, 'x');
  const init = { method: 'POST', headers: { 'content-type': 'application/octet-stream' } };
  assert.equal((await virga.fetch('google', '/greet', { ...init, body: bytes })).headers.get('x-raw-bytes'), String(bytes.length));
  const stream = new Blob([bytes]).stream();
  const chunked = await virga.fetch('google', '/greet', { ...init, body: stream, duplex: 'half' });
  assert.equal(chunked.headers.get('x-raw-bytes'), String(bytes.length));
});

for (const path of ['/countdown', '/py/countdown']) {
  test(`${path}: what is written is with the client at once`, async () => {
    const response = await virga.fetch('google', `${path}?from=3`);
    assert.match(response.headers.get('content-type')!, /^text\/event-stream/);
    let text = '';
    let chunks = 0;
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      chunks++;
    }
    assert.equal(text, 'data: 3\n\ndata: 2\n\ndata: 1\n\ndata: 0\n\n');
    assert.ok(chunks > 1, 'it came in one piece');
  });
}

test('a function that throws answers as the framework does, and the log says why', async () => {
  const node = await virga.fetch('google', '/broken');
  assert.deepEqual([node.status, node.headers.get('x-google-status')], [500, 'crash']);
  const python = await virga.fetch('google', '/broken-py');
  assert.deepEqual([python.status, python.headers.get('x-google-status')], [500, 'crash']);
  for (const fn of ['broken', 'py-broken']) assert.match((await virga.cli(['logs', fn, '--project', 'google'])).stdout, /as it should/);
  const handled = await virga.fetch('google', '/zero');
  assert.deepEqual([handled.status, await handled.text()], [418, 'it was integer division or modulo by zero']);
});

test('the exports of before the framework, and the folder as it is', async () => {
  const plain = await virga.fetch('google', '/plain/x?y=1', {
    method: 'PUT',
    body: '{"a":1}',
    headers: { 'content-type': 'application/json' },
  });
  assert.deepEqual([plain.status, await plain.json()], [201, { method: 'PUT', path: '/plain/x', body: { a: 1 } }]);
  assert.equal(await (await virga.fetch('google', '/as-it-is?name=it')).text(), 'Hello it!');
});

test('Python: an HTTP function gets Flask’s request, a typed one its object', async () => {
  const got = await virga.fetch('google', '/py/greet/a%20b?name=Ada');
  assert.deepEqual([got.status, await got.text()], [200, 'Hello Ada!']);
  assert.equal(got.headers.get('x-path'), '/py/greet/a b');
  assert.deepEqual(got.headers.getSetCookie(), ['seen=Ada; HttpOnly; Path=/']);
  const headers = { 'content-type': 'application/json' };
  const posted = await virga.fetch('google', '/py/greet', { method: 'POST', body: '{"name":"Zoë"}', headers });
  assert.equal(await posted.text(), 'Hello Zoë!');
  const typed = await virga.fetch('google', '/py/double', { method: 'POST', body: '{"id":1,"total":4}', headers });
  assert.deepEqual(await typed.json(), { id: 1, total: 8 });
});

test('Node: a CloudEvent function gets Google’s events, with the trace', async () => {
  const created = await invoke('on-event', OBJECT);
  assert.equal(created.code, 0, created.stderr);
  assert.deepEqual(JSON.parse(created.stdout), { type: 'google.cloud.storage.object.v1.finalized', subject: 'objects/a/ü.txt' });
  const seen = JSON.parse(/\{"specversion".*\}/.exec(created.stderr)![0]) as Record<string, unknown>;
  assert.equal(seen['source'], '//storage.googleapis.com/projects/_/buckets/uploads');
  assert.equal((seen['data'] as { id: string }).id, 'uploads/a/ü.txt/17');
  assert.match(String(seen['traceparent']), /^00-[0-9a-f]{32}-/);
  const topic = { topic: 't', id: 'm', body: 'grüße', attributes: {}, sentAt: 0 };
  assert.deepEqual(JSON.parse((await invoke('on-event', event('virga.topic.message', { data: topic }))).stdout), {
    type: 'google.cloud.pubsub.topic.v1.messagePublished',
    text: 'grüße',
  });
  const due = { schedule: 's', cron: '* * * * *', timezone: 'UTC', dueAt: 0 };
  assert.deepEqual(JSON.parse((await invoke('on-event', event('virga.schedule.due', { data: due }))).stdout), {
    type: 'google.cloud.scheduler.job.v1.executed',
  });
  assert.deepEqual(JSON.parse((await invoke('on-event', event('com.example.thing', { data: { a: 1 } }))).stdout), {
    type: 'com.example.thing',
  });
});

test('a queue: each message is a call, and those that fail come again, with those behind them in their group', async () => {
  const messages = [message('m1', 'one', 'g'), message('m2', 'poison', 'g'), message('m3', 'three', 'g'), message('m4', 'four')];
  const batch = event('virga.queue.batch', { data: { queue: 'orders', messages } });
  for (const fn of ['on-event', 'py-on-event']) {
    const sent = await invoke(fn, batch);
    assert.equal(sent.code, 0, sent.stderr);
    assert.deepEqual(JSON.parse(sent.stdout), { failed: ['m2', 'm3'] });
    assert.match(sent.stderr, /message m2 failed: .*answered the event with 500/);
  }
});

test('an event that the function refuses has failed', async () => {
  const topic = { topic: 't', id: 'm', body: 'poison', attributes: {}, sentAt: 0 };
  for (const fn of ['on-event', 'py-on-event']) {
    const sent = await invoke(fn, event('virga.topic.message', { data: topic }));
    assert.equal(sent.code, 1);
    assert.match(sent.stderr, /this message cannot be handled/);
    assert.match(sent.stderr, /EventRefused/);
  }
});

test('Node: a background function gets data and context', async () => {
  const sent = await invoke('on-upload', OBJECT);
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(sent.stdout.trim(), 'null');
  assert.deepEqual(JSON.parse(/\{"name".*\}/.exec(sent.stderr)![0]), {
    name: 'a/ü.txt',
    bucket: 'uploads',
    context: {
      eventId: 'evt_1',
      timestamp: '2026-01-01T00:00:00Z',
      eventType: 'google.storage.object.finalize',
      resource: {
        name: 'projects/_/buckets/uploads/objects/a/ü.txt',
        service: 'storage.googleapis.com',
        type: 'storage#object',
      },
    },
  });
});

test('Python: a CloudEvent function gets a CloudEvent of the package’s class', async () => {
  const sent = await invoke('py-on-event', OBJECT);
  assert.equal(sent.code, 0, sent.stderr);
  assert.match(
    sent.stderr,
    /\{'type': 'google\.cloud\.storage\.object\.v1\.finalized', 'subject': 'objects\/a\/ü\.txt', 'id': 'evt_1', 'text': None\}/,
  );
  const wrong = await invoke('py-on-event', '{"specversion":"1.0"}');
  assert.match(wrong.stderr, /the payload is no CloudEvent: it needs specversion "1\.0", id, source and type/);
});

test('a direct invocation of an HTTP function is a POST', async () => {
  for (const fn of ['greet', 'py-greet']) {
    const sent = await invoke(fn, '{"name":"direct"}', 'application/json');
    assert.equal(sent.stdout.trim(), 'Hello direct!', sent.stderr);
  }
});

test('an entry point that is not there is named, with what is', async () => {
  const manifest = (source: string): string =>
    `project: wrong\nfunctions:\n  f: { source: ${source}, form: google, handler: nope, http: / }\n`;
  const node = await deploy({
    'virga.yaml': manifest('a.mjs'),
    'a.mjs': `import { http } from '@google-cloud/functions-framework';\nhttp('there', () => {});\nexport const other = () => {};\n`,
  });
  assert.equal(node.code, 0, node.stderr);
  assert.match(
    await (await virga.fetch('wrong', '/')).text(),
    /registers no function 'nope' with functions\.http or functions\.cloudEvent, and exports other; set `handler`/,
  );
  const python = await deploy({ 'virga.yaml': manifest('a.py'), 'a.py': 'def there(request):\n    return "x"\n' });
  assert.equal(python.code, 0, python.stderr);
  assert.match(await (await virga.fetch('wrong', '/')).text(), /a\.py has no function 'nope'; it has there; set `handler`/);
  const aio = await deploy({ 'virga.yaml': manifest('a.py'), 'a.py': 'import functions_framework.aio\n' });
  assert.equal(aio.code, 0, aio.stderr);
  assert.match(await (await virga.fetch('wrong', '/')).text(), /functions_framework\.aio: async functions are not run by form google/);
});

test('without the framework the deploy says what to install', async () => {
  const { code, stderr } = await deploy(
    { 'virga.yaml': 'project: none\nfunctions:\n  f: { source: a.js, form: google }\n', 'a.js': 'exports.f = (req, res) => res.end();\n' },
    false,
  );
  assert.equal(code, 1);
  assert.match(stderr, /'@google-cloud\/functions-framework' is not installed.*npm install @google-cloud\/functions-framework/);
});

test('an ES module that leaves `handler` out is found under the name of the function, on Node 24 too', async () => {
  const deployed = await deploy({
    'virga.yaml': `project: esm
functions:
  hello: { source: a.mjs, form: google, http: /, runtime: nodejs24 }
  bad-answer: { source: a.mjs, form: google, handler: destroyed, http: /destroyed }
`,
    'a.mjs': `import * as functions from '@google-cloud/functions-framework';
functions.http('hello', (req, res) => res.writeHead(203, { 'transfer-encoding': 'chunked', 'x-a': ['1', '2'] }).end(process.env.FUNCTION_TARGET + ' ' + process.env.K_SERVICE));
functions.http('destroyed', (req, res) => res.destroy());
`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  const response = await virga.fetch('esm', '/');
  assert.deepEqual([response.status, response.headers.get('x-a'), await response.text()], [203, '1, 2', 'hello hello']);
  const destroyed = await virga.fetch('esm', '/destroyed');
  assert.equal(destroyed.status, 502);
  assert.match(await destroyed.text(), /its response was destroyed before it was complete/);
});
