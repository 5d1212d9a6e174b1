// Readers over streams in memory, with a clock that is told the time: crashes at any step, from a seed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import type { CloudEvent, StreamBatch, StreamOutcome } from '../../protocol/events.ts';
import type { EventOutcome, Invoker } from '../invoker.ts';
import { topologyOf } from '../topology.ts';
import type { Topology } from '../topology.ts';
import type { Trigger } from '../../protocol/sources/triggers.ts';
import { StreamReaders } from './readers.ts';
import { LEASE_MS } from './stream-reader.ts';
import { MemoryStream, TestClock } from './testing.ts';
import { windowRulesOf, windowStarts } from './windows.ts';

const START = 1_700_000_000_000;
const PARTITIONS = 2;

type Handler = (batch: StreamBatch) => StreamOutcome | Error | undefined | Promise<StreamOutcome | undefined>;

class World {
  readonly clock = new TestClock(START);
  readonly stream = new MemoryStream(this.clock, 'shop/stream/clicks', PARTITIONS);
  readonly topology: Topology;
  readonly batches: StreamBatch[] = [];
  readonly said: string[] = [];
  readonly #handler: Handler;
  readonly #edges: StreamReaders[] = [];

  constructor(trigger: Partial<Trigger>, handler: Handler = () => undefined) {
    this.#handler = handler;
    const events = { streams: { clicks: { partitions: PARTITIONS } }, triggers: { count: [{ stream: 'clicks', ...trigger }] } };
    this.topology = topologyOf('shop', events, ['count']);
  }

  /** `fails` throws: the process has died. */
  async edge(
    name: string,
    { fails, partitionsMax = 256 }: { fails?: (step: string) => void; partitionsMax?: number } = {},
  ): Promise<StreamReaders> {
    const readers = new StreamReaders({
      bus: this.stream.bus(name, fails),
      invoker: this.#invoker(fails),
      clock: this.clock,
      random: () => 0.5,
      places: { take: () => Promise.resolve(() => {}) },
      partitionsMax,
      log: (_level, message, fields) => void this.said.push(`${message}: ${String(fields['records'])}`),
    });
    this.#edges.push(readers);
    void readers.update([this.topology]).then(() => readers.start());
    await this.rest();
    return readers;
  }

  /** Until nothing happens any more at this time. */
  async rest(): Promise<void> {
    for (let i = 0; i < 60; i++) await tick();
  }

  /** Lets time pass until then, timer by timer. */
  async until(time: number): Promise<void> {
    for (;;) {
      await this.rest();
      const next = this.clock.nextAt;
      if (next === undefined || next > time) break;
      this.clock.set(next);
    }
    this.clock.set(time);
    await this.rest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#edges.map((edge) => edge.close(0)));
  }

  #invoker(fails: (step: string) => void = () => {}): Invoker {
    return {
      capacity: () => 10,
      pressed: false,
      invoke: async ({ body }): Promise<EventOutcome> => {
        await tick();
        fails('invoke');
        const { data } = JSON.parse(body.toString()) as CloudEvent<StreamBatch>;
        this.batches.push(data!);
        const answer = await this.#handler(data!);
        if (answer instanceof Error)
          return { ok: false, invocation: 'inv_1', refused: false, code: 'function_error', message: answer.message };
        const json = Buffer.from(JSON.stringify(answer ?? null));
        return { ok: true, invocation: 'inv_1', status: 200, contentType: 'application/json', body: json };
      },
    };
  }
}

function positions(batches: StreamBatch[], partition = 0): number[][] {
  return batches.filter((one) => one.partition === partition).map(({ records }) => records.map(({ position }) => position));
}

test('records come in batches, in order, and when there are none nothing happens', async () => {
  await using world = new World({ batch: 3 });
  await world.edge('a');
  for (let i = 0; i < 7; i++) world.stream.append(0, { id: `r${i}` });
  await world.rest();
  assert.deepEqual(positions(world.batches).flat(), [1, 2, 3, 4, 5, 6, 7]);
  assert.ok(positions(world.batches).every((batch) => batch.length <= 3));
  assert.equal(world.stream.position('count', 0), 7);
  await world.until(START + 1_000);
  assert.equal(world.clock.nextAt, undefined);
});

test('what was appended before a trigger was there is read where it says `oldest`, and else not', async () => {
  for (const from of ['oldest', 'newest'] as const) {
    await using world = new World({ from });
    world.stream.append(0, { id: 'before' });
    await world.edge('a');
    world.stream.append(0, { id: 'after' });
    await world.rest();
    assert.deepEqual(positions(world.batches).flat(), from === 'oldest' ? [1, 2] : [2]);
  }
});

test('a batch that is not full waits for more, and no longer than it is full', async () => {
  await using world = new World({ batch: 3, wait: '5s' });
  await world.edge('a');
  world.stream.append(0, { id: 'r1' });
  await world.until(START + 4_000);
  world.stream.append(0, { id: 'r2' });
  assert.deepEqual(world.batches, []);
  await world.until(START + 5_000);
  assert.deepEqual(positions(world.batches), [[1, 2]]);
  for (const id of ['r3', 'r4', 'r5']) world.stream.append(0, { id });
  await world.rest();
  assert.deepEqual(positions(world.batches), [
    [1, 2],
    [3, 4, 5],
  ]);
});

test('the first record that a function names comes again with what follows it, and those before it do not', async () => {
  let calls = 0;
  await using world = new World({ retry: { delay: '1s' } }, () => (calls++ === 0 ? { failed: ['r2', 'r1'] } : undefined));
  await world.edge('a');
  for (let i = 0; i < 4; i++) world.stream.append(0, { id: `r${i}` });
  await world.rest();
  assert.deepEqual(positions(world.batches).flat().length, 4);
  await world.until(START + 1_000);
  assert.deepEqual(positions(world.batches).at(-1), [2, 3, 4]);
  assert.equal(world.stream.position('count', 0), 4);
});

test('a poison record becomes a dead letter with the event that failed, and all others are handled', async () => {
  const handled: string[] = [];
  await using world = new World({ retry: { attempts: 2, delay: '1s' } }, ({ records }) => {
    if (records.some(({ id }) => id === 'r13')) return new Error('it is poison');
    handled.push(...records.map(({ id }) => id));
    return undefined;
  });
  await world.edge('a');
  for (let i = 0; i < 30; i++) world.stream.append(0, { id: `r${i}` });
  await world.until(START + 60_000);
  assert.deepEqual(
    handled,
    Array.from({ length: 30 }, (_, i) => `r${i}`).filter((id) => id !== 'r13'),
  );
  const [batch] = world.stream.sent;
  assert.equal(world.stream.sent.length, 1);
  assert.equal(batch!.queue.key, 'shop/dead/stream/clicks/count');
  const [letter] = batch!.messages;
  assert.deepEqual(letter!.died, { from: 'shop/stream/clicks/count', reason: 'rejected', error: 'function_error: it is poison' });
  const event = JSON.parse(letter!.body) as CloudEvent<StreamBatch>;
  assert.deepEqual(
    event.data!.records.map(({ id }) => id),
    ['r13'],
  );
});

test('with `block` a record that fails is tried for ever, and nothing passes it', async () => {
  await using world = new World({ retry: { attempts: 2, delay: '1s', maxDelay: '4s' }, onFailure: 'block' }, ({ records }) =>
    records.some(({ id }) => id === 'r1') && world.clock.now() < START + 60_000 ? new Error('not now') : undefined,
  );
  await world.edge('a');
  for (let i = 0; i < 3; i++) world.stream.append(0, { id: `r${i}` });
  await world.until(START + 59_000);
  assert.equal(world.stream.position('count', 0), 1);
  await world.until(START + 70_000);
  assert.equal(world.stream.position('count', 0), 3);
  assert.deepEqual(world.stream.sent, []);
});

test('a window whose records have stopped coming ends by the clock, once', async () => {
  const finals: unknown[] = [];
  await using world = new World({ window: { size: '10s', late: '2s' } }, ({ records, window, state }) => {
    if (window!.final) finals.push([window!.start - START, state]);
    return { state: ((state as number | undefined) ?? 0) + records.length };
  });
  await world.edge('a');
  world.stream.append(0, { id: 'r1' });
  await world.until(START + 5_000);
  world.stream.append(0, { id: 'r2' });
  await world.until(START + 11_999);
  assert.deepEqual(finals, []);
  await world.until(START + 12_000);
  assert.deepEqual(finals, [[0, 2]]);
  await world.until(START + 100_000);
  assert.deepEqual(finals, [[0, 2]]);
});

test('a seek goes on from there, with windows afresh, also where nothing new comes', async () => {
  const finals: unknown[] = [];
  await using world = new World({ window: { size: '10s' } }, ({ records, window, state }) => {
    if (window!.final) finals.push(state);
    return { state: ((state as number | undefined) ?? 0) + records.length };
  });
  await world.edge('a');
  for (let i = 0; i < 5; i++) world.stream.append(0, { id: `r${i}` });
  await world.until(START + 1_000);
  world.stream.seek('count', 0, 2);
  await world.until(START + 10_000);
  assert.deepEqual(finals, [3]);
});

test('records that were gone before they were read are passed over, and that is said once', async () => {
  let fails = 2;
  await using world = new World({ from: 'oldest', batch: 2, retry: { delay: '1s' } }, () =>
    fails-- > 0 ? new Error('not yet') : undefined,
  );
  for (let i = 1; i <= 30; i++) world.stream.append(0, { id: `r${i}` });
  world.stream.trim(0, 20);
  await world.edge('a');
  await world.until(START + 5_000);
  assert.deepEqual([...new Set(positions(world.batches).flat())], [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  assert.deepEqual(world.said, ['records of a stream were gone before their function had read them: 20']);
  for (let i = 31; i <= 33; i++) world.stream.append(0, { id: `r${i}` });
  world.stream.trim(0, 33);
  await world.until(START + 20_000);
  assert.equal(world.stream.position('count', 0), 33);
  assert.equal(world.said.length, 2);
});

test('a partition that was lost is read again, also where another one ends in the meantime', async () => {
  const calls = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  await using world = new World({}, ({ partition }) => calls[partition]!.promise);
  await world.edge('a');
  for (const partition of [0, 1]) world.stream.append(partition, { id: 'slow' });
  await world.rest();
  // The call that is under way is not committed: its holding is gone.
  world.stream.seek('count', 0, 0);
  await world.until(START + 100);
  for (const { resolve } of calls) {
    resolve(undefined);
    await world.rest();
  }
  await world.until(START + 10_000);
  assert.deepEqual([world.stream.position('count', 0), world.stream.position('count', 1)], [1, 1]);
});

test('a look that failed is repeated, also where a call that was under way ends in the meantime', async () => {
  const held = Promise.withResolvers<undefined>();
  let fails = false;
  await using world = new World({}, ({ partition }) => (partition === 0 ? held.promise : undefined));
  await world.edge('a', {
    fails: (step) => {
      if (fails && step === 'partitions') throw new Error('the statement took too long');
    },
  });
  world.stream.append(0, { id: 'slow' });
  await world.rest();
  fails = true;
  world.stream.append(1, { id: 'unseen' });
  await world.rest();
  fails = false;
  held.resolve(undefined);
  await world.until(START + 10_000);
  assert.equal(world.stream.position('count', 1), 1);
});

test('a record that failed comes again after its backoff, not after the wait for a full batch as well', async () => {
  await using world = new World({ batch: 10, wait: '5m', retry: { attempts: 3, delay: '1s' } }, () => new Error('no'));
  await world.edge('a');
  world.stream.append(0, { id: 'r1' });
  await world.until(START + 299_999);
  assert.equal(world.batches.length, 0);
  await world.until(START + 310_000);
  assert.equal(world.batches.length, 3);
  assert.equal(world.stream.sent.length, 1);
});

test('a trigger that is removed and comes back before its call has ended waits for that', async () => {
  let running = 0;
  let most = 0;
  const held = Promise.withResolvers<void>();
  await using world = new World({}, async () => {
    most = Math.max(most, ++running);
    await held.promise;
    running--;
    return undefined;
  });
  const readers = await world.edge('a');
  world.stream.append(0, { id: 'r1' });
  await world.rest();
  const without = topologyOf('shop', { streams: { clicks: { partitions: PARTITIONS } } }, ['count']);
  await readers.update([without]);
  const again = readers.update([{ ...world.topology }]);
  await world.rest();
  world.stream.append(0, { id: 'r2' });
  await world.rest();
  assert.equal(most, 1);
  held.resolve();
  await world.until(START + 5_000);
  await again;
  assert.deepEqual([most, positions(world.batches), world.stream.position('count', 0)], [1, [[1], [2]], 2]);
});

test('two edges share the partitions of a stream, and one takes over what the other, dead, had', async () => {
  await using world = new World({});
  let dead = false;
  const fails = (): void => {
    if (dead) throw new Error('this edge is dead');
  };
  await world.edge('a', { fails, partitionsMax: 1 });
  await world.edge('b', { partitionsMax: 2 });
  for (const partition of [0, 1]) world.stream.append(partition, { id: 'r1' });
  await world.rest();
  assert.deepEqual([positions(world.batches, 0), positions(world.batches, 1)], [[[1]], [[1]]]);
  dead = true;
  for (const partition of [0, 1]) world.stream.append(partition, { id: 'r2' });
  await world.until(START + LEASE_MS + 1);
  assert.deepEqual(
    [positions(world.batches, 0), positions(world.batches, 1)],
    [
      [[1], [2]],
      [[1], [2]],
    ],
  );
});

test('wherever an edge dies, no record is left out or out of order, and windows end with exactly what was in them', async () => {
  const step = fc.tuple(fc.integer({ min: 0, max: 7_000 }), fc.integer({ min: 0, max: PARTITIONS - 1 }));
  const window = fc.constantFrom<NonNullable<Trigger['window']>>(
    { size: '10s' },
    { size: '10s', every: '5s' },
    { size: '9s', every: '3s', late: '1s' },
  );
  const deaths = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), window, deaths, async (steps, rules, dying) => {
      const finals = new Map<string, unknown>();
      await using world = new World({ window: rules, batch: 4, from: 'oldest' }, ({ partition, records, window: of, state }) => {
        const ids = (state as string[] | undefined) ?? [];
        if (of!.final) {
          const name = `${partition} ${of!.start}`;
          // Again only as it was: a call that nobody committed.
          if (finals.has(name)) assert.deepEqual(state, finals.get(name));
          finals.set(name, state);
        }
        return { state: [...ids, ...records.map(({ id }) => id)] };
      });
      const dyingEdges = [...dying];
      const mortal = async (): Promise<void> => {
        let left = dyingEdges.shift() ?? Infinity;
        await world.edge('a', {
          fails: () => {
            if (left-- <= 0) throw new Error('this edge is dead');
          },
        });
      };
      await mortal();
      const expected = new Map<string, string[]>();
      for (const [index, [gap, partition]] of steps.entries()) {
        await world.until(world.clock.now() + gap);
        world.stream.append(partition, { id: `r${index}` });
        for (const start of windowStarts(world.clock.now(), windowRulesOf(rules))) {
          const name = `${partition} ${start}`;
          expected.set(name, [...(expected.get(name) ?? []), `r${index}`]);
        }
        if (index % 3 === 2) await mortal();
      }
      while (dyingEdges.length > 0) await mortal();
      await mortal();
      await world.until(world.clock.now() + 120_000);
      assert.deepEqual(finals, expected);
    }),
    { numRuns: 30 },
  );
});
