// Pulling messages over the API, for workers that are no functions: held, settled, waited for, and not lost when who holds them, or the
// control role, goes away.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VirgaControl } from '../../../sdk/src/control.ts';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
queues:
  reports: {visibility: 10s, retry: {attempts: 2}}
  lines: {fifo: true}
functions:
  none: {source: none.mjs}
`,
  'none.mjs': 'export const handler = () => 1;\n',
};

let virga: Virga;
let shop: VirgaControl;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  shop = new VirgaControl({ url: virga.controlUrl, token: virga.token });
});
after(() => virga[Symbol.asyncDispose]());

const receive = async (queue: string, request: Parameters<VirgaControl['receiveMessages']>[2] = {}) =>
  (await shop.receiveMessages('shop', queue, request)).messages;
const settle = async (queue: string, receipt: string, as: 'done' | 'retry' | 'dead') =>
  (await shop.settleMessages('shop', queue, [{ receipt, as }])).results[0]!.settled;

test('a worker that waits gets a message the moment it is sent', async () => {
  const waiting = receive('reports', { waitMs: 20_000 });
  await shop.sendMessages('shop', 'reports', [{ body: { article: 7 }, id: 'msg_now' }]);
  const [message] = await waiting;
  assert.deepEqual([message!.id, message!.body, message!.attempt], ['msg_now', '{"article":7}', 1]);
  assert.equal(await settle('reports', message!.receipt, 'done'), true);
  assert.equal(await settle('reports', message!.receipt, 'done'), false);
});

test('what is not settled in time comes again, and is dead after as many times as it may be received', async () => {
  await shop.sendMessages('shop', 'reports', [{ body: 'x', id: 'msg_again' }]);
  const [first] = await receive('reports', { visibility: '1s' });
  const [second] = await receive('reports', { waitMs: 15_000, visibility: '1s' });
  assert.deepEqual([first!.id, second!.id, second!.attempt], ['msg_again', 'msg_again', 2]);
  assert.equal(await settle('reports', first!.receipt, 'done'), false);
  assert.deepEqual(await receive('reports', { waitMs: 2_000 }), []);
  const [dead] = await Array.fromAsync(shop.deadLetters('shop', { source: 'reports' }));
  assert.deepEqual([dead!.id, dead!.died.reason, dead!.attempts], ['msg_again', 'receives', 2]);
});

test('a client that leaves while it waits takes nothing with it', async () => {
  const leaves = new AbortController();
  const waiting = shop.receiveMessages('shop', 'reports', { waitMs: 20_000 }, { signal: leaves.signal });
  await shop.queues('shop').page();
  leaves.abort();
  await assert.rejects(waiting);
  await shop.sendMessages('shop', 'reports', [{ body: 'x', id: 'msg_stays' }]);
  const [message] = await receive('reports', { waitMs: 10_000 });
  assert.deepEqual([message!.id, message!.attempt], ['msg_stays', 1]);
  await settle('reports', message!.receipt, 'done');
});

test('what a worker holds stays its own when the control role is killed', async () => {
  await shop.sendMessages('shop', 'reports', [{ body: 'x', id: 'msg_kept' }]);
  const [message] = await receive('reports', { visibility: '1h' });
  const [pid] = virga.pids()['control']!;
  process.kill(pid!, 'SIGKILL');
  for (;;) {
    try {
      await shop.health();
      if (virga.pids()['control']?.[0] !== pid) break;
    } catch {
      // It is starting.
    }
  }
  assert.deepEqual(await receive('reports'), []);
  assert.equal(await settle('reports', message!.receipt, 'done'), true);
});

test('a redrive that is cut off by kill -9 goes on', async () => {
  const ids = Array.from({ length: 30 }, (_, index) => `msg_d${index}`);
  await shop.sendMessages(
    'shop',
    'reports',
    ids.map((id) => ({ id, body: id })),
  );
  for (const { receipt } of await receive('reports', { max: 100 })) await settle('reports', receipt, 'dead');
  const { id, total } = await shop.startRedrive('shop', { source: 'reports', rate: 20 });
  while ((await shop.redrive('shop', id)).moved < 4);
  const [pid] = virga.pids()['control']!;
  process.kill(pid!, 'SIGKILL');
  const giveUpAt = performance.now() + 20_000;
  for (;;) {
    const left = await Array.fromAsync(shop.deadLetters('shop', { source: 'reports' })).catch(() => undefined);
    if (left?.length === 0) break;
    assert.ok(performance.now() < giveUpAt, `${left?.length} of ${total} are left`);
  }
  // Those of this test, and the one that was received too often before.
  assert.deepEqual([total, (await shop.queue('shop', 'reports')).pending], [31, 31]);
});

test('messages of one group are received in order, and the next only when the first is settled', async () => {
  await shop.sendMessages('shop', 'lines', [
    { body: 'a1', group: 'a' },
    { body: 'a2', group: 'a' },
    { body: 'b1', group: 'b' },
  ]);
  const first = await receive('lines', { max: 1 });
  const rest = await receive('lines', { max: 10 });
  assert.deepEqual(
    first.map(({ body }) => body),
    ['a1'],
  );
  assert.deepEqual(
    rest.map(({ body }) => body),
    ['b1'],
  );
  assert.equal(await settle('lines', first[0]!.receipt, 'done'), true);
  assert.deepEqual(
    (await receive('lines', { max: 10 })).map(({ body }) => body),
    ['a2'],
  );
});
