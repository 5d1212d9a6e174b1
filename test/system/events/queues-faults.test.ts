// What happens to messages while the edge is killed, the database is restarted, and functions are deployed: nothing that was acknowledged is
// lost, groups keep their order, and nothing comes twice that did not have to. Handlers tell what they saw by a queue, which survives as well.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { ControlClient } from './control-client.ts';

const manifest = (source: string, triggered = true) => `
project: shop
queues:
  orders: {retry: {delay: 100ms}}
  lined: {fifo: true, retry: {delay: 100ms}}
  seen: {}
functions:
  take: {source: ${source}${triggered ? ', triggers: [{queue: orders, batch: 20}, {queue: lined, batch: 20}]' : ''}}
`;
const source = (version: number) => `
export default {
  async event({ data }: any, { queue }: any) {
    await queue('seen').sendBatch(data.messages.map((m: any) => ({ body: m.body, attributes: { version: '${version}' } })));
  },
};`;

interface Seen {
  body: string;
  attributes: Record<string, string>;
}

let virga: Virga;
let shop: ControlClient;
before(async () => {
  virga = await startVirga();
  shop = new ControlClient(virga, 'shop');
  await deploy(1);
});
after(() => virga[Symbol.asyncDispose]());

async function deploy(version: number, triggered = true): Promise<void> {
  const deployed = await virga.deploy({ 'virga.yaml': manifest('take.ts', triggered), 'take.ts': source(version) });
  assert.equal(deployed.code, 0, deployed.stderr);
}

/** Sends one request after the other until `stop` aborts; what was not acknowledged is sent again. */
async function keepSending(queue: string, prefix: string, stop: AbortSignal): Promise<string[]> {
  const acknowledged: string[] = [];
  for (let n = 0; !stop.aborted; n += 20) {
    const bodies = Array.from({ length: 20 }, (_, i) => `${prefix}${String(n + i).padStart(6, '0')}`);
    const messages = bodies.map((body, i) => ({ body, deduplicationId: body, ...(queue === 'lined' ? { group: `g${i % 5}` } : {}) }));
    while ((await shop.post(`/queues/${queue}/messages`, { messages }).catch(() => ({ status: 0 }))).status !== 202) await pause(20);
    acknowledged.push(...bodies);
    await pause(5);
  }
  return acknowledged;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Shorter than the lease of 30 s: what was handed out by a database that was killed before anybody heard of it comes sooner. */
const SILENT_MS_MAX = 25_000;

/** Everything that handlers tell, until each of these was told. */
async function told(bodies: string[]): Promise<Seen[]> {
  const missing = new Set(bodies);
  const seen: Seen[] = [];
  let heardAt = performance.now();
  while (missing.size > 0) {
    const { status, body } = await shop.post<{ messages: (Seen & { receipt: string })[] }>('/queues/seen/receive', {
      max: 100,
      waitMs: 15_000,
    });
    assert.equal(status, 200, JSON.stringify(body));
    if (body.messages.length > 0) heardAt = performance.now();
    assert.ok(
      performance.now() - heardAt < SILENT_MS_MAX,
      `${missing.size} of ${bodies.length} were not told within ${SILENT_MS_MAX / 1_000} s: ${[...missing].slice(0, 5).join(', ')}`,
    );
    if (body.messages.length === 0) continue;
    await shop.post('/queues/seen/settle', { settlements: body.messages.map(({ receipt }) => ({ receipt, as: 'done' })) });
    for (const one of body.messages) {
      missing.delete(one.body);
      seen.push(one);
    }
  }
  return seen;
}

async function kill(role: string): Promise<void> {
  const [pid] = virga.pids()[role] ?? [];
  assert.ok(pid !== undefined, `there is no ${role}`);
  process.kill(pid, 'SIGKILL');
  while ((virga.pids()[role] ?? []).every((other) => other === pid)) await pause(20);
}

test('functions are deployed anew under load: nothing is lost, and nothing comes twice', async () => {
  const stop = new AbortController();
  const sending = keepSending('orders', 'deploy-', stop.signal);
  await deploy(2);
  await deploy(3);
  stop.abort();
  const sent = await sending;
  const seen = await told(sent);
  assert.equal(seen.length, sent.length, 'none came twice');
  const versions = new Set(seen.map(({ attributes }) => attributes['version']));
  assert.ok(versions.has('3'), `versions ${[...versions].join(', ')}`);
});

test('messages of a queue whose trigger was taken away wait, and come when it is back', async () => {
  await deploy(4, false);
  const { status } = await shop.post('/queues/orders/messages', { messages: [{ body: 'waits' }] });
  assert.equal(status, 202);
  await shop.empty('seen');
  assert.deepEqual(
    (await shop.peek('orders')).map(({ body }) => body),
    ['waits'],
  );
  await deploy(5);
  const [one] = await told(['waits']);
  assert.equal(one!.attributes['version'], '5');
});

test('the edge is killed under load: all that was acknowledged is handled, and at most what it held comes twice', async () => {
  const stop = new AbortController();
  const sending = keepSending('orders', 'kill-', stop.signal);
  for (let i = 0; i < 3; i++) {
    await pause(400);
    await kill('edge');
  }
  stop.abort();
  const sent = await sending;
  const seen = await told(sent);
  const twice = seen.length - sent.length;
  assert.ok(twice <= 3 * 1_200, `${twice} of ${sent.length} came twice`);
});

test('groups keep their order when the edge is killed', async () => {
  const stop = new AbortController();
  const sending = keepSending('lined', 'order-', stop.signal);
  for (let i = 0; i < 2; i++) {
    await pause(400);
    await kill('edge');
  }
  stop.abort();
  const sent = await sending;
  const seen = await told(sent);
  // In the order of telling, which is that of handling: each for the first time.
  for (let group = 0; group < 5; group++) {
    const own = [...new Set(seen.map(({ body }) => body))].filter((body) => Number(body.slice(-6)) % 5 === group);
    assert.deepEqual(own, own.toSorted(), `group ${group}`);
  }
});

test('the database is killed under load: deliveries go on by themselves', async () => {
  const stop = new AbortController();
  const sending = keepSending('orders', 'database-', stop.signal);
  await pause(300);
  await kill('postgres');
  await pause(300);
  stop.abort();
  await told(await sending);
});
