// Cloudflare Workers: examples/workers deployed as it is (Hono, itty-router, a service worker; the libraries from npm, unmodified),
// called over HTTP and by every event that a Worker knows; and what is refused or warned of at the deploy.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, ROOT, startVirga } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';

const EXAMPLE = join(ROOT, 'examples', 'workers');
const EVENT = 'application/cloudevents+json';

let virga: Virga;
let deployed: CliResult;
before(async () => {
  virga = await startVirga();
  deployed = await virga.cli(['deploy', EXAMPLE]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

const fetchFrom = (path: string, init?: RequestInit): Promise<Response> => virga.fetch('workers', path, { redirect: 'manual', ...init });

interface Invoked {
  code: number;
  result: unknown;
  stderr: string;
}

async function invoke(fn: string, payload: unknown, type = EVENT): Promise<Invoked> {
  const { code, stdout, stderr } = await virga.cli([
    'invoke',
    fn,
    '--project',
    'workers',
    '--data',
    JSON.stringify(payload),
    '--content-type',
    type,
  ]);
  return { code, result: stdout === '' ? undefined : JSON.parse(stdout), stderr };
}

function event(type: string, data: unknown): Record<string, unknown> {
  return { specversion: '1.0', id: 'evt_1', source: '/projects/workers/x', type, time: '2026-01-01T00:00:00Z', data };
}

const due = (cron: string) => event('virga.schedule.due', { schedule: 'nightly', cron, timezone: 'UTC', dueAt: Date.UTC(2026, 0, 1, 6) });

function orders(...bodies: unknown[]): Record<string, unknown> {
  const messages = bodies.map((body, i) => ({
    id: `m${i}`,
    body: JSON.stringify(body),
    attributes: {},
    attempt: 1,
    sentAt: 0,
    firstReceivedAt: 0,
  }));
  return event('virga.queue.batch', { queue: 'orders', messages });
}

async function logged(fn: string, text: string): Promise<void> {
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', fn, '--project', 'workers']);
    return stdout.includes(text) ? true : undefined;
  });
}

test('what the wrangler file says of things that Virga does not read from it is said at the deploy', () => {
  assert.match(
    deployed.stderr,
    /warning: shop: wrangler\.toml:12: the schedule '0 6 \* \* \*' is not read from here: declare it in virga\.yaml/,
  );
  assert.match(deployed.stderr, /warning: shop: wrangler\.toml:14: messages of the queue 'orders' are not read from here/);
  assert.doesNotMatch(deployed.stderr, /warning: (?:stock|moved)/, 'the file is of the shop alone');
});

test('a Hono app: variables, routes, headers of the edge, errors', async () => {
  const home = await fetchFrom('/');
  assert.match(await home.text(), /<h1>Virga's Books<\/h1>[^]*16\.00 EUR/);
  assert.equal(home.headers.get('x-client'), '127.0.0.1');
  const missing = await fetchFrom('/books/fog', { headers: { 'cf-connecting-ip': '6.6.6.6' } });
  assert.deepEqual([missing.status, await missing.text()], [404, 'no book fog']);
  assert.equal(missing.headers.get('x-client'), '127.0.0.1');
  const failed = await fetchFrom('/fail');
  assert.deepEqual([failed.status, await failed.json()], [500, { error: 'the till is broken' }]);
  const bare = await fetchFrom('/fail?bare');
  assert.equal(bare.status, 502);
  assert.equal(((await bare.json()) as { error: { code: string } }).error.code, 'function_error');
});

test('the cache answers the second time', async () => {
  const first = await fetchFrom('/books/rain');
  assert.equal(first.headers.get('cf-cache-status'), null);
  const text = await first.text();
  const second = await eventually(async () => {
    const again = await fetchFrom('/books/rain');
    return again.headers.get('cf-cache-status') === 'HIT' ? again : undefined;
  });
  assert.equal(await second.text(), text);
});

test('an answer streams', async () => {
  const response = await fetchFrom('/export');
  const chunks: string[] = [];
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  assert.equal(chunks.join(''), 'book,cents\nrain,1600\nclouds,1450\n');
  assert.ok(chunks.length > 1, 'more than one chunk');
});

test('a batch of a queue and a schedule reach the same Worker', async () => {
  const posted = await fetchFrom('/orders', { method: 'POST', body: JSON.stringify({ book: 'rain', copies: 2 }) });
  assert.deepEqual([posted.status, await posted.json()], [201, { ordered: 2 }]);
  const batch = await invoke('shop', orders({ book: 'rain', copies: 1 }, { book: 'fog', copies: 1 }, { book: 'clouds', copies: 4 }));
  assert.deepEqual(batch.result, { failed: ['m1'] });
  assert.match(batch.stderr, /orders: message m1, attempt 1: no book fog/);
  const counted = await invoke('shop', due('0 6 * * *'));
  assert.deepEqual(counted.result, { outcome: 'ok' });
  const { ordered, counted: seen } = (await (await fetchFrom('/orders')).json()) as {
    ordered: unknown;
    counted: { at: number; copies: number };
  };
  assert.deepEqual(
    [ordered, seen],
    [
      { rain: 3, clouds: 4 },
      { at: Date.UTC(2026, 0, 1, 6), copies: 7 },
    ],
  );
  await logged('shop', "Virga's Books: 7 copies were ordered");
});

test('an itty-router app behind a class of cloudflare:workers', async () => {
  assert.deepEqual(await (await fetchFrom('/stock')).json(), { warehouse: 'Madrid', books: { rain: 3 } });
  const put = await fetchFrom('/stock/fog', { method: 'PUT', body: JSON.stringify({ copies: 5 }) });
  assert.deepEqual([put.status, await put.json()], [200, { book: 'fog', copies: 5 }]);
  assert.deepEqual(await (await fetchFrom('/stock/fog')).json(), { book: 'fog', copies: 5 });
  const missing = await fetchFrom('/stock/snow');
  assert.deepEqual([missing.status, await missing.json()], [404, { status: 404, error: 'no shelf for snow' }]);
  await logged('stock', 'fog: 5 copies');
});

test('a service worker: fetch and scheduled, variables as globals', async () => {
  const moved = await fetchFrom('/old/books?x=1');
  assert.deepEqual([moved.status, moved.headers.get('location')], [301, 'https://example.com/books']);
  await logged('moved', 'moved /old/books');
  const failed = await fetchFrom('/old/fail');
  assert.equal(failed.status, 502, 'there is no origin to pass it through to');
  assert.deepEqual((await invoke('moved', due('*/5 * * * *'))).result, { outcome: 'ok' });
  await logged('moved', 'still moved to https://example.com at */5 * * * *');
});

test('a payload that no handler is for is refused with what a Worker takes', async () => {
  const raw = await invoke('shop', { a: 1 }, 'application/json');
  assert.equal(raw.code, 1);
  assert.match(raw.stderr, /the payload is application\/json; a Worker takes HTTP requests, and CloudEvents/);
  assert.match((await invoke('stock', due('* * * * *'))).stderr, /the Worker has no scheduled\(\), and got virga\.schedule\.due/);
  assert.match((await invoke('moved', orders({}))).stderr, /the Worker has no queue\(\), and got virga\.queue\.batch/);
  assert.match(
    (await invoke('shop', event('virga.topic.message', {}))).stderr,
    /the event is of the type virga\.topic\.message; a Worker takes/,
  );
});

test('a Worker that needs what Virga lacks is refused at the deploy, and named again at the call where only that can tell', async () => {
  const manifest = 'project: needs\ndefaults: { form: workers }\nfunctions:\n  notes: { source: notes.js, http: / }\n';
  const code = 'export default { async fetch(request, env) { return new Response(await env.NOTES.get("a")); } };\n';
  const refused = await virga.deploy({
    'virga.yaml': manifest,
    'notes.js': code,
    'wrangler.toml': 'name = "notes"\n\n[[kv_namespaces]]\nbinding = "NOTES"\nid = "1"\n',
  });
  assert.notEqual(refused.code, 0);
  assert.match(
    refused.stderr,
    /wrangler\.toml:3: NOTES is a KV namespace \(kv_namespaces\), which Virga does not have, and the code uses it/,
  );
  const object = await virga.deploy({
    'virga.yaml': manifest,
    'notes.js':
      "import { DurableObject } from 'cloudflare:workers';\n\nexport class Counter extends DurableObject {}\nexport default { fetch() {} };\n",
  });
  assert.match(object.stderr, /notes\.js:3: Counter is a Durable Object, and Virga has none/);
  const unseen = await virga.deploy({ 'virga.yaml': manifest, 'notes.js': code });
  assert.equal(unseen.code, 0, unseen.stderr);
  assert.equal((await virga.fetch('needs', '/')).status, 502);
  await eventually(async () => {
    const { stdout } = await virga.cli(['logs', 'notes', '--project', 'needs']);
    return /the code has read env\.NOTES, which is not set: .*KV, D1, R2, Durable Objects/.test(stdout) ? true : undefined;
  });
});
