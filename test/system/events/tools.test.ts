// Queues, topics, deliveries and dead letters as people see and move them: through the CLI, as JSON and as text.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
queues:
  orders: {retry: {attempts: 2, delay: 0s}}
  reports: {visibility: 10s, retry: {attempts: 2}}
  failed: {}
  strict: {deadLetters: failed}
topics:
  prices:
    subscriptions:
      - {queue: reports, filter: {attributes: {kind: [book]}}}
functions:
  ship:
    source: ship.mjs
    triggers:
      - queue: orders
  watch:
    source: ship.mjs
    triggers:
      - topic: prices
        retry: {attempts: 1}
`,
  // Messages that say so fail; the others are done.
  'ship.mjs': `
export default {
  event(event) {
    const bodies = event.data.messages?.map(({ body }) => body) ?? [event.data.body];
    for (const body of bodies) if (body.includes('fail')) throw new Error('cannot ship that');
  },
};
`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const cli = (...args: string[]): Promise<CliResult> => virga.cli([...args, '--project', 'shop']);
async function json<T>(...args: string[]): Promise<T> {
  const result = await cli(...args, '--json');
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result.json<T>();
}
async function until<T>(what: string, look: () => Promise<T>, is: (value: T) => boolean): Promise<T> {
  const giveUpAt = performance.now() + 15_000;
  for (;;) {
    const value = await look();
    if (is(value)) return value;
    assert.ok(performance.now() < giveUpAt, `waited for ${what}: ${JSON.stringify(value)}`);
  }
}

interface Queue {
  name: string;
  function: string | null;
  pending: number;
  delayed: number;
  deadLetters: number | null;
  totals: { sent: number; done: number; dead: number };
}
interface DeadLetter {
  id: string;
  died: { from: string; reason: string };
  attempts: number;
  lastError: string;
  body?: string;
}
interface Redrive {
  id: string;
  state: string;
  moved: number;
  total: number;
}

test('queues are listed with who takes them, and what is sent to one without a function waits', async () => {
  const { messages } = await json<{ messages: { id: string; result: string }[] }>('queues', 'send', 'failed', 'a first', '-a', 'kind=book');
  assert.equal(messages[0]!.result, 'sent');
  assert.equal((await cli('queues', 'send', 'failed', 'later', '--delay', '1h', '--id', 'msg_later')).stdout, 'msg_later\n');
  const lines = await virga.cli(['queues', 'send', 'failed', '--lines', '--project', 'shop'], { input: 'one\n\ntwo\n' });
  assert.equal(lines.stdout, 'sent 2 messages\n');
  const queues = await json<Queue[]>('queues');
  assert.deepEqual(
    queues.map((one) => [one.name, one.function, one.pending, one.delayed]),
    [
      ['failed', null, 3, 1],
      ['orders', 'ship', 0, 0],
      ['reports', null, 0, 0],
      ['strict', null, 0, 0],
    ],
  );
  const text = (await cli('queues')).stdout;
  assert.match(text, /^queue +function +pending +delayed +held +oldest/m);
  assert.match(text, /^failed +3 +1 +0 /m);
  assert.match(text, /^strict .*→ failed/m);
  const shown = (await cli('queues', 'show', 'failed')).stdout;
  assert.match(shown, /^messages +3 pending, 1 delayed, .* \(at most 1000000 messages, 1\.0 GiB\)$/m);
  assert.match(shown, /^function +none/m);
});

test('peek shows messages without taking them, one with all that is known of it; purge drops them after a yes', async () => {
  const peeked = await json<{ id: string; state: string; body: string; attributes: Record<string, string> }[]>('queues', 'peek', 'failed');
  assert.deepEqual(
    peeked.map(({ state, body }) => [state, body]),
    [
      ['pending', 'a first'],
      ['delayed', 'later'],
      ['pending', 'one'],
      ['pending', 'two'],
    ],
  );
  assert.deepEqual(peeked[0]!.attributes, { kind: 'book' });
  assert.match((await cli('queues', 'peek', 'failed')).stdout, /^msg_later +delayed +in 60 min +0 .* later$/m);
  assert.match((await cli('queues', 'peek', 'failed', 'msg_later')).stdout, /^message +msg_later\n[^]*\n\nlater\n$/);
  const refused = await cli('queues', 'purge', 'failed');
  assert.deepEqual(
    [refused.code, refused.stderr.includes("drop the 4 messages of the queue 'failed'? That takes a yes: add --yes")],
    [2, true],
  );
  assert.deepEqual(await json('queues', 'purge', 'failed', '--id', 'msg_later', '--yes'), { purged: 1 });
  assert.equal((await cli('queues', 'purge', 'failed', '--yes')).stdout, 'dropped 3 messages of failed\n');
});

test('what a function fails at is tried again, dies, is listed with its reason, and goes back by a redrive', async () => {
  await cli('queues', 'send', 'orders', 'this will fail');
  const dead = await until(
    'a dead letter',
    () => json<DeadLetter[]>('dead-letters', '--source', 'orders'),
    (all) => all.length === 1,
  );
  assert.deepEqual([dead[0]!.died.from, dead[0]!.died.reason, dead[0]!.attempts], ['queue/orders', 'rejected', 2]);
  assert.match(dead[0]!.lastError, /^function_error: Error: cannot ship that$/);
  assert.equal('body' in dead[0]!, false);
  const { id } = dead[0]!;
  assert.match((await cli('dead-letters')).stdout, new RegExp(`^${id} +queue/orders +rejected .*function_error`, 'm'));
  assert.match((await cli('dead-letters', 'show', id, '--body')).stdout, /^died +given up, in queue\/orders[^]*\n\nthis will fail\n$/m);
  assert.match((await cli('queues', 'show', 'orders')).stdout, /^dead letters +1$/m);
  // It fails again, and is a dead letter again: the redrive has moved it once.
  const redrive = await json<Redrive>('dead-letters', 'redrive', '--source', 'orders');
  assert.deepEqual([redrive.state, redrive.moved, redrive.total], ['done', 1, 1]);
  await until(
    'it to be dead again',
    () => json<Queue>('queues', 'show', 'orders'),
    ({ totals, deadLetters }) => totals.dead === 2 && deadLetters === 1,
  );
  assert.equal((await cli('dead-letters', 'redrive', id, '--to', 'failed')).stdout, 'moved 1 of 1\n');
  assert.equal((await json<{ body: string }[]>('queues', 'peek', 'failed'))[0]!.body, 'this will fail');
  await cli('queues', 'purge', 'failed', '--yes');
});

test('a redrive with a rate runs in the background, can be looked at, and ends when it is cancelled', async () => {
  const input = Array.from({ length: 40 }, (_, index) => `fail ${index}`).join('\n');
  await virga.cli(['queues', 'send', 'orders', '--lines', '--project', 'shop'], { input });
  await until(
    'all to be dead',
    () => json<Queue>('queues', 'show', 'orders'),
    ({ deadLetters }) => deadLetters === 40,
  );
  const { id } = await json<Redrive>('dead-letters', 'redrive', '--source', 'orders', '--to', 'failed', '--rate', '10', '--detach');
  const second = await cli('dead-letters', 'redrive', '--all');
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`${id} moves dead letters of orders already`));
  await until(
    'some to be moved',
    () => json<Redrive[]>('dead-letters', 'redrives'),
    ([one]) => one!.moved > 0,
  );
  assert.match((await cli('dead-letters', 'redrives')).stdout, new RegExp(`^${id} +running +orders +failed +10 +\\d+ of 40`, 'm'));
  const cancelled = await json<Redrive>('dead-letters', 'cancel', id);
  assert.equal(cancelled.state, 'cancelled');
  assert.equal((await json<Queue>('queues', 'show', 'failed')).pending, cancelled.moved);
  assert.equal((await json<Queue>('queues', 'show', 'orders')).deadLetters, 40 - cancelled.moved);
  assert.deepEqual(await json('dead-letters', 'purge', '--source', 'orders', '--yes'), { purged: 40 - cancelled.moved });
  await cli('queues', 'purge', 'failed', '--yes');
});

test('topics say who is subscribed; what is published is delivered, or dead with what was published', async () => {
  const published = await json<{ id: string; deliveries: number }>('topics', 'publish', 'prices', 'fail: 12', '-a', 'kind=book');
  assert.equal(published.deliveries, 2);
  assert.match((await cli('topics', 'publish', 'prices', 'ok')).stdout, /goes to 1 of its subscriptions/);
  const [dead] = await until(
    'a dead letter',
    () => json<DeadLetter[]>('dead-letters', '--source', 'topic/prices', '--body'),
    (all) => all.length === 1,
  );
  assert.equal(JSON.parse(dead!.body!).data.body, 'fail: 12');
  const text = (await cli('topics')).stdout;
  assert.match(text, /^prices +queue reports +\{"attributes":\{"kind":\["book"\]\}\} +1 pending/m);
  assert.match(text, /^ +function watch +all +empty +1$/m);
  assert.equal((await json<{ name: string }>('topics', 'show', 'prices')).name, 'prices');
});

test('what is on its way is listed, followed, and taken back', async () => {
  await cli('queues', 'send', 'orders', 'later', '--delay', '1h', '--id', 'msg_waits');
  const listed = await json<{ id: string; state: string; function: string }[]>('deliveries', '--function', 'ship');
  assert.deepEqual(
    listed.map((one) => [one.id, one.state, one.function]),
    [['msg_waits', 'delayed', 'ship']],
  );
  assert.match((await cli('deliveries', '--source', 'orders')).stdout, /^msg_waits +queue\/orders +delayed +ship +0 +in 60 min/m);
  assert.match((await cli('deliveries', 'show', 'msg_waits', '--body')).stdout, /\n\nlater\n$/);
  assert.equal((await cli('deliveries', 'cancel', 'msg_waits')).stdout, 'msg_waits is taken back\n');
  const gone = await cli('deliveries', 'cancel', 'msg_waits', '--json');
  assert.deepEqual([gone.code, JSON.parse(gone.stderr).error.code], [1, 'message_not_found']);
});

test('a queue that leaves virga.yaml keeps its messages, and says so, until they are dropped', async () => {
  await cli('queues', 'send', 'strict', 'kept');
  const without = { ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('  strict: {deadLetters: failed}\n', '') };
  const deployed = await virga.deploy(without);
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(
    deployed.json<{ warning: string }>().warning,
    /messages are kept that nothing takes any more: queue\/strict \(1 message\).*virga queues purge strict/,
  );
  assert.match((await cli('queues')).stdout, /^strict +removed +1 /m);
  assert.equal((await cli('queues', 'send', 'strict', 'more')).code, 1);
  await cli('queues', 'purge', 'strict', '--yes');
  assert.deepEqual(
    (await json<Queue[]>('queues')).map(({ name }) => name),
    ['failed', 'orders', 'reports'],
  );
  const fifo = await virga.deploy({ ...without, 'virga.yaml': without['virga.yaml'].replace('visibility: 10s,', 'fifo: true,') });
  assert.equal(fifo.code, 1);
  assert.match(fifo.stderr, /the queue 'reports' has 1 message[^]*sent without an order, so `fifo` cannot become true/);
});

test('what is asked wrongly is refused with what is right', async () => {
  const cases: [string[], number, RegExp][] = [
    [['queues', 'shwo', 'orders'], 2, /did you mean 'show'\?/],
    [['queues', 'show'], 2, /needs the name of a queue/],
    [['queues', 'show', 'order'], 1, /no queue 'order'; did you mean 'orders'\?/],
    [['queues', 'send', 'orders', 'two', 'words'], 2, /"words" is too much \(put a text with spaces in quotes\)/],
    [['queues', 'send', 'orders', 'x', '--delay', '5'], 2, /--delay is "5"; expected a duration/],
    [['queues', 'send', 'orders', 'x', '--attribute', 'nothing'], 2, /expected key=value/],
    [['queues', 'send', 'orders', 'x', '--group', 'g'], 1, /no groups/],
    [['queues', 'peek', 'orders', '--limit', '0'], 2, /--limit is "0"/],
    [['queues', 'peek', 'orders', '--rate', '5'], 2, /unknown option '--rate'/],
    [['queues', 'purge', 'orders', '--limit', '5'], 2, /--limit is for `virga queues peek`/],
    [['queues', 'receive', 'orders'], 1, /go to function 'ship'/],
    [['queues', 'settle', 'reports', 'x', '--as', 'gone'], 2, /expected done, retry, dead or extend/],
    [['queues', 'settle', 'reports', 'x', '--delay', '5s'], 2, /--delay goes with --as retry/],
    [['queues', 'settle', 'reports', 'x'], 1, /nothing is held under the receipt x/],
    [['topics', 'publish', 'price', 'x'], 1, /no topic 'price'; did you mean 'prices'\?/],
    [['topics', 'show', 'nothing'], 1, /it has prices/],
    [['deliveries', '--state', 'ded'], 2, /expected pending, delayed, held, dead; did you mean 'dead'\?/],
    [['deliveries', '--source', 'order'], 1, /did you mean 'orders'\?/],
    [['deliveries', 'show'], 2, /needs the id of a message/],
    [['dead-letters', 'redrive'], 2, /redrive which\?/],
    [['dead-letters', 'redrive', 'msg_1', '--all'], 2, /redrive which\?/],
    [['dead-letters', 'redrive', '--all', '--rate', 'fast'], 2, /--rate is "fast"/],
    [['dead-letters', 'purge', '--all'], 2, /add --yes/],
    [['dead-letters', 'cancel', 'rdr_01k9z3e5g7h2j4k6m8n0p2q4r6'], 1, /no redrive rdr_/],
  ];
  for (const [args, code, message] of cases) {
    const result = await cli(...args);
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, message);
  }
});
