// What the engine decides, to the millisecond: who is next, how much is received, what waits for what. Over a bus in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReceivedMessage } from '../bus.ts';
import { queueKey } from '../queue-keys.ts';
import type { Consumer } from '../topology.ts';
import { Deliveries } from './deliveries.ts';
import type { Verdict } from './delivery-kind.ts';
import { MemoryBus, TestClock, settled } from './memory-bus.ts';

interface Call {
  project: string;
  source: string;
  ids: string[];
  at: number;
  end: (verdict?: Verdict | Verdict[]) => void;
}

interface Rules extends Partial<Pick<Consumer, 'batch' | 'waitMs' | 'concurrency'>> {
  fifo?: boolean;
  attempts?: number;
  delayMs?: number;
}

function consumerOf(project: string, source: string, rules: Rules = {}): Consumer {
  const { fifo = false, attempts = 5, delayMs = 1_000, batch = 10, waitMs = 0, concurrency } = rules;
  const key = queueKey(project, 'queue', source);
  const queue = { key, fifo, retentionMs: 1e9, deduplicationMs: 0, receivesMax: 1e6, messagesMax: 1e9, bytesMax: 1e12, dead: null };
  return {
    queue,
    function: 'f',
    kind: 'queue',
    source,
    batch,
    waitMs,
    concurrency,
    retry: { attempts, delayMs, maxDelayMs: 60_000 },
    filter: undefined,
  };
}

function start(
  consumers: Consumer[],
  options: {
    deliveriesMax?: number;
    deliveryBytesMax?: number;
    capacity?: number;
    random?: number;
    deaf?: boolean;
    onCall?: () => void;
  } = {},
) {
  const clock = new TestClock();
  const bus = new MemoryBus(clock);
  const calls: Call[] = [];
  const state = { pressed: false, capacity: options.capacity ?? 100 };
  const running = { now: 0, most: 0 };
  const lines: string[] = [];
  const deliveries = new Deliveries({
    bus: bus.bus,
    kinds: {
      queue: {
        deliver: ({ queue, source }, messages: ReceivedMessage[], signal) => {
          const { promise, resolve } = Promise.withResolvers<Verdict[]>();
          options.onCall?.();
          running.most = Math.max(running.most, ++running.now);
          let ended = false;
          const end: Call['end'] = (verdict = { as: 'done' }) => {
            if (ended) return;
            ended = true;
            running.now--;
            resolve(Array.isArray(verdict) ? verdict : messages.map(() => verdict));
          };
          calls.push({ project: queue.key.split('/')[0]!, source, ids: messages.map(({ id }) => id), at: clock.now(), end });
          if (options.deaf !== true) signal.addEventListener('abort', () => end({ as: 'later', delayMs: 0 }));
          return promise;
        },
      },
    },
    invoker: {
      capacity: () => state.capacity,
      get pressed() {
        return state.pressed;
      },
    },
    limits: { deliveriesMax: options.deliveriesMax ?? 100, deliveryBytesMax: options.deliveryBytesMax ?? 1e9 },
    clock,
    random: () => options.random ?? 1,
    log: (_level, message) => void lines.push(message),
  });
  deliveries.setConsumers(consumers);
  deliveries.start();
  return { clock, bus, calls, deliveries, state, running, lines };
}

const ids = (from: number, count: number, prefix = 'm') => Array.from({ length: count }, (_, i) => ({ id: `${prefix}${from + i}` }));
const named = (count: number, prefix = 'm') => ids(1, count, prefix).map(({ id }) => id);

test('messages are called with as batches of at most the size that was asked for, as many calls at the same time as may', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 4, concurrency: 2 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 10));
  await clock.pass(0);
  assert.deepEqual(
    calls.map((call) => call.ids),
    [named(4), ['m5', 'm6', 'm7', 'm8']],
  );
  calls[0]!.end();
  await clock.pass(0);
  assert.deepEqual(calls[2]!.ids, ['m9', 'm10']);
});

test('what comes due while a call begins is received, and nothing turns in circles until then', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1 });
  let looks = 0;
  const { bus, calls, clock, deliveries } = start([orders], { onCall: () => clock.set(1) });
  const look = clock.now.bind(clock);
  clock.now = () => {
    if (++looks > 1_000) throw new Error('it is looked for ever');
    return look();
  };
  await clock.pass(0);
  bus.send(orders.queue, [{ id: 'm1' }, { id: 'm2', delayMs: 1 }]);
  await clock.pass(2);
  assert.deepEqual(
    calls.map((call) => call.ids),
    [['m1'], ['m2']],
  );
  for (const call of calls) call.end();
  await deliveries.close(0);
});

test('what nothing is due for costs nothing: no timer but the one against lost notices, and no receive', async () => {
  const many = Array.from({ length: 1_000 }, (_, i) => consumerOf(`p${i % 10}`, `q${i}`));
  const { bus, clock } = start(many);
  await clock.pass(60_000);
  assert.equal(bus.receives.length, 0);
  assert.equal(clock.timers, 1);
});

test('a lost notice is made good within half a minute', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  await clock.pass(10);
  bus.send(orders.queue, ids(1, 1), { silent: true });
  await clock.pass(29_000);
  assert.equal(calls.length, 0);
  await clock.pass(1_000);
  assert.equal(calls.length, 1);
});

test('a message that comes while a receive is under way is not overlooked', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  bus.during = () => {
    bus.during = undefined;
    bus.send(orders.queue, ids(2, 1));
  };
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  assert.deepEqual(
    calls.map((call) => call.ids),
    [['m1'], ['m2']],
  );
});

test('a delayed message is delivered at its time, without asking for it before', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  await clock.pass(0);
  bus.send(orders.queue, [{ id: 'later', delayMs: 5_000 }]);
  await clock.pass(4_999);
  assert.equal(calls.length, 0);
  const asked = bus.receives.length;
  assert.ok(asked <= 1, `${asked} receives`);
  await clock.pass(1);
  assert.deepEqual(calls[0]!.ids, ['later']);
});

test('a batch that is not full waits for more until its window ends, and no longer once it is full', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 3, waitMs: 500 });
  const { bus, calls, clock } = start([orders]);
  const begin = clock.now();
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(200);
  bus.send(orders.queue, ids(2, 1));
  await clock.pass(200);
  assert.equal(calls.length, 0);
  await clock.pass(100);
  assert.deepEqual(
    calls.map((call) => [call.ids, call.at - begin]),
    [[['m1', 'm2'], 500]],
  );
  bus.send(orders.queue, ids(3, 4));
  await clock.pass(0);
  assert.deepEqual(calls[1]!.ids, ['m3', 'm4', 'm5']);
  await clock.pass(499);
  assert.equal(calls.length, 2);
  await clock.pass(1);
  assert.deepEqual(calls[2]!.ids, ['m6']);
});

test('nothing is received that there is no place for, but one batch ahead of a busy consumer', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 5, concurrency: 2 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1_000));
  await clock.pass(0);
  const held = bus.queues.get(orders.queue.key)!.filter(({ receipt }) => receipt !== undefined).length;
  assert.equal(calls.length, 2);
  assert.ok(held <= 15, `${held} messages are held`);
});

test('what is held is bounded in bytes', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 100 });
  const { bus, clock } = start([orders], { deliveryBytesMax: 100_000 });
  bus.send(
    orders.queue,
    Array.from({ length: 1_000 }, (_, i) => ({ id: `m${i}`, body: 'x'.repeat(1_000) })),
  );
  await clock.pass(0);
  const held = bus.queues.get(orders.queue.key)!.filter(({ receipt }) => receipt !== undefined).length;
  assert.ok(held > 10 && held <= 100, `${held} messages of 1,000 bytes are held`);
});

test("a project's single message does not wait behind another's thousands, though all of those calls hang", async () => {
  const flood = consumerOf('big', 'flood', { batch: 1, concurrency: 1_000 });
  const single = consumerOf('small', 'single');
  const { bus, calls, clock } = start([flood, single], { deliveriesMax: 20, capacity: 10_000 });
  bus.send(flood.queue, ids(1, 5_000));
  await clock.pass(1_000);
  assert.equal(calls.length, 15, 'three quarters of the places');
  bus.send(single.queue, [{ id: 'single' }]);
  await clock.pass(0);
  assert.deepEqual(calls.at(-1)!.ids, ['single']);
});

test('projects that both have much to do take turns', async () => {
  const consumers = ['a', 'b', 'c'].map((project) => consumerOf(project, 'q', { batch: 1, concurrency: 100 }));
  const { bus, calls, clock } = start(consumers, { deliveriesMax: 6, capacity: 100 });
  for (const { queue } of consumers) bus.send(queue, ids(1, 100));
  await clock.pass(0);
  for (let i = 0; i < 90; i++) {
    calls[i]!.end();
    await settled();
  }
  const counts = Map.groupBy(calls, ({ project }) => project);
  for (const [project, own] of counts)
    assert.ok(Math.abs(own.length - calls.length / 3) <= 3, `${project} had ${own.length} of ${calls.length}`);
});

test('while requests of clients wait for room, events get a small share, and all of it afterwards', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 50 });
  const { bus, calls, clock, state } = start([orders], { deliveriesMax: 128 });
  state.pressed = true;
  bus.send(orders.queue, ids(1, 100));
  await clock.pass(100);
  assert.equal(calls.length, 2);
  state.pressed = false;
  await clock.pass(20);
  assert.equal(calls.length, 50);
});

test('a failed message comes again after a backoff that doubles, and is dead after its last attempt, with the reason', async () => {
  const orders = consumerOf('shop', 'orders', { attempts: 3, delayMs: 1_000 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  const begin = clock.now();
  calls[0]!.end({ as: 'failed', error: 'no' });
  await clock.pass(1_000);
  calls[1]!.end({ as: 'failed', error: 'no' });
  await clock.pass(2_000);
  calls[2]!.end({ as: 'failed', error: 'never' });
  await clock.pass(100_000);
  assert.deepEqual(
    calls.map(({ at }) => at - begin),
    [0, 1_000, 3_000],
  );
  assert.deepEqual(bus.dead, [{ key: orders.queue.key, id: 'm1', error: 'never' }]);
});

test('half of a backoff is left to chance', async () => {
  const orders = consumerOf('shop', 'orders', { delayMs: 1_000 });
  const { bus, calls, clock } = start([orders], { random: 0 });
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  calls[0]!.end({ as: 'failed', error: 'no' });
  await clock.pass(499);
  assert.equal(calls.length, 1);
  await clock.pass(1);
  assert.equal(calls.length, 2);
});

test('a function that takes nothing is asked ever less often, counts no attempt, and is asked at once after a deployment', async () => {
  const orders = consumerOf('shop', 'orders', { attempts: 2 });
  const { bus, calls, clock, deliveries } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  const begin = clock.now();
  for (let i = 0; i < 12; i++) {
    calls.at(-1)!.end({ as: 'later', delayMs: 0 });
    const before = calls.length;
    while (calls.length === before) await clock.pass(10);
  }
  const gaps = calls.slice(1).map(({ at }, i) => at - calls[i]!.at);
  assert.ok(
    gaps.every((gap, i) => i === 0 || gap >= gaps[i - 1]!),
    `pauses: ${gaps.join(', ')}`,
  );
  assert.ok(gaps.at(-1)! >= 5_000 && gaps.at(-1)! <= 10_000, `pauses: ${gaps.join(', ')}`);
  assert.ok(clock.now() > begin);
  calls.at(-1)!.end({ as: 'later', delayMs: 0 });
  await clock.pass(0);
  const before = calls.length;
  deliveries.setConsumers([{ ...orders }]);
  await clock.pass(0);
  assert.equal(calls.length, before + 1);
  assert.equal(bus.dead.length, 0);
});

test('one bad message does not take those beside it to the dead letters', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 10, attempts: 5, delayMs: 10 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 10));
  for (let seen = 0; bus.queues.get(orders.queue.key)!.length > 0;) {
    await clock.pass(10);
    // A call fails as a whole if the bad one is in it.
    for (; seen < calls.length; seen++)
      calls[seen]!.end(calls[seen]!.ids.includes('m4') ? { as: 'failed', error: 'poison' } : { as: 'done' });
  }
  assert.deepEqual(
    bus.dead.map(({ id }) => id),
    ['m4'],
  );
  assert.equal(calls.filter((call) => call.ids.includes('m4')).length, 5);
});

test('messages of a group go one call after the other, in order; groups go beside each other', async () => {
  const orders = consumerOf('shop', 'orders', { fifo: true, batch: 2, concurrency: 3 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, [...ids(1, 6, 'a').map((m) => ({ ...m, group: 'a' })), ...ids(1, 2, 'b').map((m) => ({ ...m, group: 'b' }))]);
  await clock.pass(0);
  assert.deepEqual(
    calls.map((call) => call.ids),
    [
      ['a1', 'a2'],
      ['b1', 'b2'],
    ],
  );
  calls[0]!.end();
  await clock.pass(0);
  assert.deepEqual(calls[2]!.ids, ['a3', 'a4']);
});

test('in a fifo queue what stands behind a failed message comes again after it, in order, and has not been tried', async () => {
  const orders = consumerOf('shop', 'orders', { fifo: true, batch: 4, attempts: 3, delayMs: 1_000 });
  const { bus, calls, clock } = start([orders]);
  bus.send(
    orders.queue,
    ids(1, 6, 'a').map((m) => ({ ...m, group: 'a' })),
  );
  await clock.pass(0);
  assert.deepEqual(calls[0]!.ids, ['a1', 'a2', 'a3', 'a4']);
  calls[0]!.end([{ as: 'done' }, { as: 'failed', error: 'no' }, { as: 'done' }, { as: 'done' }]);
  await clock.pass(999);
  assert.equal(calls.length, 1, 'its group waits for it');
  await clock.pass(1);
  assert.deepEqual(calls[1]!.ids, ['a2', 'a3', 'a4', 'a5']);
  const attempts = bus.queues.get(orders.queue.key)!.map(({ id, attempt }) => [id, attempt]);
  assert.deepEqual(attempts.slice(0, 4), [
    ['a2', 2],
    ['a3', 1],
    ['a4', 1],
    ['a5', 1],
  ]);
});

test('in a fifo queue a group whose first message dies loses that one alone', async () => {
  const orders = consumerOf('shop', 'orders', { fifo: true, batch: 10, attempts: 2, delayMs: 0 });
  const { bus, calls, clock } = start([orders]);
  bus.send(
    orders.queue,
    ids(1, 4, 'a').map((m) => ({ ...m, group: 'a' })),
  );
  const done: string[] = [];
  for (let seen = 0; bus.queues.get(orders.queue.key)!.length > 0;) {
    await clock.pass(1);
    for (; seen < calls.length; seen++) {
      const call = calls[seen]!;
      const bad = call.ids.includes('a1');
      if (!bad) done.push(...call.ids);
      call.end(bad ? { as: 'failed', error: 'poison' } : { as: 'done' });
    }
  }
  assert.deepEqual(
    bus.dead.map(({ id }) => id),
    ['a1'],
  );
  assert.deepEqual(done, ['a2', 'a3', 'a4']);
});

test('what is held is extended for as long as its call runs', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(300_000);
  assert.equal(calls.length, 1);
  calls[0]!.end();
  await clock.pass(0);
  assert.equal(bus.queues.get(orders.queue.key)!.length, 0);
  assert.equal(clock.timers, 1, 'nothing is held any more');
});

test('a message whose holding was lost is not settled by us', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 2));
  await clock.pass(0);
  bus.queues.get(orders.queue.key)![0]!.receipt = 'of somebody else';
  await clock.pass(20_000);
  calls[0]!.end();
  await clock.pass(0);
  const ended = bus.settlements.filter(({ settlement }) => settlement.as !== 'extend');
  assert.deepEqual(
    ended.map(({ id }) => id),
    ['m2'],
  );
});

test('outcomes that the bus did not take are kept, and settled when it is back; nothing is received meanwhile', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 2 });
  const { bus, calls, clock, lines } = start([orders]);
  bus.send(orders.queue, ids(1, 5));
  await clock.pass(0);
  bus.away = true;
  calls[0]!.end();
  calls[1]!.end();
  await clock.pass(10_000);
  assert.ok(calls.length <= 3);
  const before = calls.length;
  for (const call of calls) call.end();
  bus.away = false;
  await clock.pass(6_000);
  for (const call of calls) call.end();
  await clock.pass(1_000);
  for (const call of calls) call.end();
  await clock.pass(100);
  assert.ok(calls.length > before);
  assert.deepEqual(calls.flatMap((call) => call.ids).toSorted(), named(5));
  assert.equal(bus.queues.get(orders.queue.key)!.length, 0);
  assert.equal(lines.filter((line) => line.includes('cannot be reached')).length, 1, 'it is said once');
});

for (const trouble of ['unavailable', 'disk_full'] as const)
  test(`the bus is away (${trouble}) for longer than leases last: what was done, and what runs, does not come again`, async () => {
    // Whoever asks first when it is back: the receiving, the settling, or the extending.
    for (let awayMs = 90_000; awayMs < 100_000; awayMs += 370) {
      const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 4 });
      const { bus, calls, clock } = start([orders]);
      bus.send(orders.queue, ids(1, 3));
      await clock.pass(0);
      bus.trouble = trouble;
      bus.away = true;
      calls[0]!.end();
      await clock.pass(awayMs);
      bus.away = false;
      await clock.pass(20_000);
      calls[1]!.end();
      calls[2]!.end();
      await clock.pass(60_000);
      const called = calls.flatMap((call) => call.ids);
      assert.deepEqual([called, bus.queues.get(orders.queue.key)!.length], [named(3), 0], `away for ${awayMs} ms`);
    }
  });

test('a queue whose leases could not be extended is received from again, also when all that was held has ended', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 1 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  bus.away = true;
  await clock.pass(40_000);
  calls[0]!.end();
  bus.away = false;
  await clock.pass(10_000);
  bus.send(orders.queue, ids(2, 1));
  await clock.pass(0);
  assert.deepEqual(calls[1]?.ids, ['m2']);
});

test('leases are extended once at a time, however long the bus takes for it', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  bus.stuck = promise;
  await clock.pass(120_000);
  assert.equal(bus.settles, 1);
  resolve();
  await clock.pass(0);
  calls[0]!.end();
  await clock.pass(0);
  assert.equal(bus.queues.get(orders.queue.key)!.length, 0);
});

test('a queue that cannot be received from does not hold the others up, and is tried ever less often', async () => {
  const [broken, fine] = [consumerOf('shop', 'broken'), consumerOf('shop', 'fine')];
  const { bus, calls, clock, lines } = start([broken, fine]);
  bus.broken = broken.queue.key;
  bus.send(broken.queue, ids(1, 1));
  for (let i = 1; i <= 100; i++) {
    bus.send(fine.queue, ids(i, 1));
    await clock.pass(100);
    assert.equal(calls.length, i, 'at once');
    calls.at(-1)!.end();
  }
  assert.ok(lines.length >= 3 && lines.length < 12, `${lines.length} lines within 10 s`);
  bus.broken = '';
  await clock.pass(30_000);
  assert.deepEqual(calls.at(-1)!.source, 'broken');
});

test('a clock that is set back holds nothing up', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 2, waitMs: 1_000 });
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 2));
  await clock.pass(0);
  calls[0]!.end({ as: 'later', delayMs: 10_000 });
  await clock.pass(0);
  clock.set(-3_600_000);
  bus.send(orders.queue, ids(3, 2));
  await clock.pass(10);
  assert.deepEqual(calls[1]?.ids, ['m3', 'm4'], 'the pause is over');
  bus.send(orders.queue, ids(5, 1));
  await clock.pass(10);
  clock.set(-3_600_000);
  await clock.pass(1_000);
  assert.deepEqual(calls[2]?.ids, ['m5'], 'the window is over');
});

test('a smaller batch holds from the deployment on, for what waits already as well', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 10, waitMs: 60_000 });
  const { bus, calls, clock, deliveries } = start([orders]);
  bus.send(orders.queue, ids(1, 5));
  await clock.pass(1_000);
  assert.equal(calls.length, 0);
  deliveries.setConsumers([{ ...orders, batch: 2, waitMs: 0 }]);
  await clock.pass(0);
  assert.deepEqual(
    calls.map((call) => call.ids),
    [['m1', 'm2'], ['m3', 'm4'], ['m5']],
  );
});

test('who asks to be left alone gets nothing of the queue until then, though others succeed meanwhile; a deployment ends it', async () => {
  const hooks = consumerOf('shop', 'hooks', { batch: 1, concurrency: 2, delayMs: 10 });
  const { bus, calls, clock, deliveries } = start([hooks]);
  const begin = clock.now();
  bus.send(hooks.queue, ids(1, 6));
  await clock.pass(0);
  calls[0]!.end({ as: 'failed', error: '429', quietMs: 5_000 });
  calls[1]!.end();
  await clock.pass(4_999);
  assert.equal(calls.length, 2);
  await clock.pass(1);
  assert.equal(calls.length, 4);
  assert.ok(calls.every(({ at }, i) => i < 2 || at - begin === 5_000));
  calls[2]!.end({ as: 'failed', error: '429', quietMs: 3_600_000 });
  await clock.pass(1_000);
  assert.equal(deliveries.stats()[0]!.pausedUntil, begin + 5_000 + 3_600_000);
  deliveries.setConsumers([{ ...hooks }]);
  await clock.pass(0);
  assert.equal(calls.length, 5);
});

test('a wait of nothing is no reason to try again without a backoff', async () => {
  const hooks = consumerOf('shop', 'hooks', { batch: 1, delayMs: 1_000 });
  const { bus, calls, clock } = start([hooks]);
  bus.send(hooks.queue, ids(1, 1));
  await clock.pass(0);
  calls[0]!.end({ as: 'failed', error: '429', quietMs: 0 });
  await clock.pass(999);
  assert.equal(calls.length, 1);
  await clock.pass(1);
  assert.equal(calls.length, 2);
});

test('why nobody could take a message is said of it, and counts no attempt', async () => {
  const orders = consumerOf('shop', 'orders');
  const { bus, calls, clock } = start([orders]);
  bus.send(orders.queue, ids(1, 1));
  await clock.pass(0);
  calls[0]!.end({ as: 'later', delayMs: 10, error: 'sandbox_unavailable: no room' });
  await clock.pass(0);
  const { settlement } = bus.settlements.at(-1)!;
  assert.ok(settlement.as === 'retry' && settlement.unseen === true && settlement.error === 'sandbox_unavailable: no room');
});

test('a trigger that goes gives back what it holds; calls that run end; it takes up again when it is back', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 1 });
  const { bus, calls, clock, deliveries } = start([orders]);
  bus.send(orders.queue, ids(1, 5));
  await clock.pass(0);
  deliveries.setConsumers([]);
  await clock.pass(0);
  const held = bus.queues.get(orders.queue.key)!.filter(({ receipt }) => receipt !== undefined);
  assert.deepEqual(
    held.map(({ id }) => id),
    ['m1'],
    'only that of the call',
  );
  calls[0]!.end();
  await clock.pass(60_000);
  assert.equal(calls.length, 1);
  assert.ok(bus.queues.get(orders.queue.key)!.every(({ attempt }) => attempt === 0));
  deliveries.setConsumers([orders]);
  await clock.pass(0);
  assert.deepEqual(calls[1]!.ids, ['m2']);
});

test('closing lets calls end, gives back what waits, and calls off what takes too long', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 2 });
  const { bus, calls, clock, deliveries } = start([orders]);
  bus.send(orders.queue, ids(1, 5));
  await clock.pass(0);
  const closed = deliveries.close(5_000);
  calls[0]!.end();
  await clock.pass(4_999);
  const left = () => bus.queues.get(orders.queue.key)!.map(({ id, attempt, receipt }) => [id, attempt, receipt !== undefined]);
  assert.deepEqual(left(), [
    ['m2', 1, true],
    ['m3', 0, false],
    ['m4', 0, false],
    ['m5', 0, false],
  ]);
  await clock.pass(1);
  await closed;
  assert.deepEqual(left()[0], ['m2', 0, false], 'called off, and no attempt');
  assert.equal(calls.length, 2);
  assert.equal(clock.timers, 0);
});

test('closing ends also when a call does not hear of it, and when the bus does not answer any more', async () => {
  const orders = consumerOf('shop', 'orders', { batch: 1, concurrency: 2 });
  const { bus, calls, clock, deliveries } = start([orders], { deaf: true });
  bus.send(orders.queue, ids(1, 3));
  await clock.pass(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  bus.stuck = promise;
  calls[0]!.end();
  const closed = deliveries.close(1_000);
  await clock.pass(10_000);
  await closed;
  assert.equal(clock.timers, 0);
  bus.away = true;
  resolve();
  await clock.pass(10_000);
  assert.equal(clock.timers, 0, 'what comes afterwards is not tried again');
});

test('any order of events loses nothing, keeps groups in order, and stays within its bounds', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`SEED=${seed}`);
  let state = seed;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const consumers = Array.from({ length: 6 }, (_, i) =>
    consumerOf(`p${i % 3}`, `q${i}`, {
      fifo: i % 2 === 0,
      batch: 1 + i,
      waitMs: i === 3 ? 50 : 0,
      concurrency: 1 + (i % 3),
      attempts: 1e6,
      delayMs: 20,
    }),
  );
  const { bus, calls, clock, deliveries, running } = start(consumers, { deliveriesMax: 8 });
  const handled = new Map<string, number>();
  const lastOf = new Map<string, number>();
  let sent = 0;
  const open: Call[] = [];
  let seen = 0;
  const end = (call: Call, failing: boolean): void => {
    const verdicts = call.ids.map((): Verdict => {
      const dice = random();
      return failing && dice < 0.15 ? { as: 'failed', error: 'no' } : failing && dice < 0.2 ? { as: 'later', delayMs: 5 } : { as: 'done' };
    });
    const fifo = consumers.find(({ source }) => source === call.source)!.queue.fifo;
    const broken = new Set<string>();
    for (const [i, id] of call.ids.entries()) {
      const group = `${call.source} ${id.split('-')[0]}`;
      if (fifo && broken.has(group)) continue;
      if (verdicts[i]!.as !== 'done') {
        broken.add(group);
        continue;
      }
      handled.set(id, (handled.get(id) ?? 0) + 1);
      if (!fifo) continue;
      const number = Number(id.split('-')[1]);
      assert.ok(number > (lastOf.get(group) ?? 0), `${id} of ${group} came after ${lastOf.get(group)}`);
      lastOf.set(group, number);
    }
    call.end(verdicts);
  };
  for (let round = 0; round < 600; round++) {
    const consumer = consumers[Math.floor(random() * consumers.length)]!;
    const dice = random();
    if (dice < 0.4)
      bus.send(
        consumer.queue,
        Array.from({ length: 1 + Math.floor(random() * 6) }, () => {
          const group = `g${Math.floor(random() * 3)}`;
          return { id: `${group}-${++sent}`, group };
        }),
        { silent: random() < 0.05 },
      );
    else if (dice < 0.45) bus.away = !bus.away;
    else if (dice < 0.5) deliveries.setConsumers(consumers.filter(() => random() < 0.8).map((one) => ({ ...one })));
    await clock.pass(Math.floor(random() * 30));
    for (; seen < calls.length; seen++) open.push(calls[seen]!);
    while (open.length > 0 && random() < 0.6) end(open.splice(Math.floor(random() * open.length), 1)[0]!, true);
  }
  bus.away = false;
  deliveries.setConsumers(consumers);
  for (let i = 0; i < 400 && handled.size < sent; i++) {
    await clock.pass(1_000);
    for (; seen < calls.length; seen++) open.push(calls[seen]!);
    for (const call of open.splice(0)) end(call, false);
  }
  assert.equal(handled.size, sent, `seed ${seed}`);
  assert.ok(
    [...handled.values()].every((times) => times === 1),
    `seed ${seed}: some came twice`,
  );
  assert.ok(running.most <= 8, `${running.most} calls at the same time`);
  await clock.pass(1_000);
  assert.deepEqual([...bus.queues.values()].flat(), []);
  const closed = deliveries.close(0);
  await clock.pass(5_000);
  await closed;
  assert.equal(clock.timers, 0);
});
