// Readers over the bus on Postgres: several edges at once, edges that die, records that are appended meanwhile.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudEvent, StreamBatch, StreamOutcome } from '../../protocol/events.ts';
import type { Trigger } from '../../protocol/sources/triggers.ts';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import type { Clock } from '../deliver/clock.ts';
import type { Invoker } from '../invoker.ts';
import { PostgresBus } from '../postgres/postgres.ts';
import { topologyOf } from '../topology.ts';
import { StreamReaders } from './readers.ts';
import { LEASE_MS } from './stream-reader.ts';

const KEY = 'shop/stream/clicks';
const PARTITIONS = 4;
const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
});

type Handler = (batch: StreamBatch, edge: string) => StreamOutcome | undefined | Promise<StreamOutcome | undefined>;

/** Real time, which can be put forward. */
class LeapingClock implements Clock {
  #leapMs = 0;
  #closed = false;
  readonly #timers = new Map<object, { at: number; run: () => void; timer: NodeJS.Timeout }>();

  readonly now = (): number => Date.now() + this.#leapMs;
  readonly monotonic = (): number => performance.now() + this.#leapMs;

  after(ms: number, run: () => void): () => void {
    if (this.#closed) return () => {};
    const id = {};
    const fire = (): void => void (this.#timers.delete(id) && run());
    this.#timers.set(id, { at: this.now() + ms, run: fire, timer: setTimeout(fire, ms) });
    return () => {
      clearTimeout(this.#timers.get(id)?.timer);
      this.#timers.delete(id);
    };
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#closed = true;
  }

  leap(ms: number): void {
    this.#leapMs += ms;
    for (const { at, run, timer } of [...this.#timers.values()]) {
      if (at > this.now()) continue;
      clearTimeout(timer);
      run();
    }
  }
}

class World {
  readonly clock = new LeapingClock();
  readonly database: TestDatabase;
  readonly sender: PostgresBus;
  readonly batches: { edge: string; batch: StreamBatch }[] = [];
  readonly #closings: (() => Promise<void>)[] = [];
  readonly #trigger: Partial<Trigger>;
  readonly #handler: Handler;
  partitions = PARTITIONS;

  constructor(database: TestDatabase, trigger: Partial<Trigger>, handler: Handler = () => undefined) {
    this.database = database;
    this.#trigger = trigger;
    this.#handler = handler;
    this.sender = this.#bus('sender');
  }

  get topology() {
    const events = { streams: { clicks: { partitions: this.partitions } }, triggers: { count: [{ stream: 'clicks', ...this.#trigger }] } };
    return topologyOf('shop', events, ['count']);
  }

  async edge(name: string, partitionsMax?: number): Promise<{ readers: StreamReaders; die: () => void }> {
    const bus = this.#bus(name);
    let dead = false;
    const invoker: Invoker = {
      capacity: () => 10,
      pressed: false,
      invoke: async ({ body }) => {
        const { data } = JSON.parse(body.toString()) as CloudEvent<StreamBatch>;
        if (dead) return await new Promise(() => {});
        this.batches.push({ edge: name, batch: data! });
        const answer = Buffer.from(JSON.stringify((await this.#handler(data!, name)) ?? null));
        // What it would have said does not come any more.
        if (dead) return await new Promise(() => {});
        return { ok: true, invocation: 'inv_1', status: 200, contentType: 'application/json', body: answer };
      },
    };
    const readers = new StreamReaders({
      bus: mortal(bus, () => dead),
      invoker,
      clock: this.clock,
      random: Math.random,
      places: { take: () => Promise.resolve(() => {}) },
      ...(partitionsMax === undefined ? {} : { partitionsMax }),
      log: () => {},
    });
    await readers.update([this.topology]);
    await bus.recover();
    await readers.start();
    const close = async (): Promise<void> => {
      if (!dead) await readers.close(0);
      await bus[Symbol.asyncDispose]();
    };
    this.#closings.push(close);
    return { readers, die: () => void (dead = true) };
  }

  async append(records: { id: string; key: string }[]): Promise<void> {
    const { spec } = this.topology.streams.get('clicks')!;
    await this.sender.append(
      spec,
      records.map(({ id, key }) => ({ id, partitionKey: key, data: '', attributes: {} })),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closings) await close();
    this.clock[Symbol.dispose]();
    await this.sender[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }

  #bus(holder: string): PostgresBus {
    return new PostgresBus({
      connection: this.database.connection,
      holder,
      log: () => {},
      now: this.clock.now,
      monotonic: this.clock.monotonic,
    });
  }
}

/** Once it is dead nothing of what it is asked comes back, and nothing is done. */
function mortal<T extends object>(bus: T, isDead: () => boolean): T {
  return new Proxy(bus, {
    get: (target, name) => {
      const found: unknown = Reflect.get(target, name);
      if (typeof found !== 'function') return found;
      return (...given: unknown[]) => (isDead() ? new Promise(() => {}) : (found.apply(target, given) as unknown));
    },
  });
}

async function until(condition: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `seed ${SEED}: ${what()}`);
    await sleep(5);
  }
}

/** The ids of each key in the order of their first handling. */
function firstSeen(batches: { batch: StreamBatch }[]): Map<string, string[]> {
  const seen = new Map<string, string[]>();
  for (const { batch } of batches)
    for (const { id, key } of batch.records) {
      const own = seen.get(key) ?? [];
      seen.set(key, own);
      if (!own.includes(id)) own.push(id);
    }
  return seen;
}

test('two edges share the partitions; when one dies the other goes on where it was, with nothing skipped and nothing out of order', async () => {
  await using world = new World(await postgres.database(), { batch: 20 }, async () => {
    await sleep(2);
    return undefined;
  });
  const dying = await world.edge('a', 2);
  await world.edge('b', 4);
  const keys = Array.from({ length: 12 }, (_, i) => `key-${i}`);
  const appended = new Map<string, string[]>(keys.map((key) => [key, []]));
  const appendSome = async (from: number): Promise<void> => {
    for (let i = from; i < from + 40; i++) {
      const records = keys.map((key) => ({ id: `${key}-${i}`, key }));
      await world.append(records);
      for (const { id, key } of records) appended.get(key)!.push(id);
    }
  };
  await appendSome(0);
  await until(
    () => new Set(world.batches.map(({ edge }) => edge)).size === 2,
    () => 'one edge has all partitions',
  );
  dying.die();
  await appendSome(40);
  const count = (): number => [...firstSeen(world.batches).values()].flat().length;
  // What the dead one holds is free when its lease is over.
  await sleep(50);
  world.clock.leap(LEASE_MS + 1_000);
  await until(
    () => count() === 960,
    () => `${count()} of 960 were handled`,
  );
  assert.deepEqual(firstSeen(world.batches), appended);
});

test('an edge that is started again goes on at once, since its holdings end with bus.recover()', async () => {
  let hang = true;
  await using world = new World(await postgres.database(), { from: 'oldest' }, async () => {
    if (hang) await new Promise(() => {});
    return undefined;
  });
  const first = await world.edge('a');
  await world.append([{ id: 'r1', key: 'k' }]);
  await until(
    () => world.batches.length === 1,
    () => 'it was not called',
  );
  first.die();
  hang = false;
  await world.edge('a');
  await until(
    () => world.batches.length === 2,
    () => 'it was not called again',
  );
  const [, again] = world.batches;
  assert.deepEqual(
    again!.batch.records.map(({ id }) => id),
    ['r1'],
  );
});

test('partitions that were added are read from their beginning, also by a trigger that began with the newest', async () => {
  await using world = new World(await postgres.database(), {});
  const { readers } = await world.edge('a');
  const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`);
  await world.append(keys.map((key) => ({ id: `${key} before`, key })));
  world.partitions = 8;
  await world.append(keys.map((key) => ({ id: `${key} between`, key })));
  await readers.update([world.topology]);
  await world.append(keys.map((key) => ({ id: `${key} after`, key })));
  const count = (): number => [...firstSeen(world.batches).values()].flat().length;
  await until(
    () => count() === 120,
    () => `${count()} of 120 were handled`,
  );
  assert.equal(new Set(world.batches.map(({ batch }) => batch.partition)).size > PARTITIONS, true);
});

test('a seek takes a partition back, and the batch that was under way is not committed', async () => {
  const gate = Promise.withResolvers<void>();
  await using world = new World(await postgres.database(), {}, async () => {
    await gate.promise;
    return undefined;
  });
  await world.edge('a');
  await world.append([1, 2, 3, 4].map((i) => ({ id: `r${i}`, key: 'k' })));
  await until(
    () => world.batches.length === 1,
    () => 'it was not called',
  );
  const { partition, records } = world.batches[0]!.batch;
  assert.equal(records.length, 4);
  await world.sender.seek(KEY, 'count', partition, 2);
  gate.resolve();
  await until(
    () => world.batches.length === 2,
    () => 'it was not called again',
  );
  assert.deepEqual(
    world.batches[1]!.batch.records.map(({ id }) => id),
    ['r3', 'r4'],
  );
  const positions = async () => (await world.sender.consumers(KEY)).find((one) => one.partition === partition)?.position;
  await until(
    async () => (await positions()) === 4,
    () => 'it did not go on',
  );
});

test('windows that end by the clock while records come have all that is in them, exactly', async () => {
  const finals = new Map<string, string[]>();
  await using world = new World(await postgres.database(), { window: { size: '40ms' } }, ({ partition, records, window, state }) => {
    const ids = [...((state as string[] | undefined) ?? []), ...records.map(({ id }) => id)];
    if (window!.final) finals.set(`${partition} ${window!.start}`, ids);
    return { state: ids };
  });
  await world.edge('a');
  let random = SEED;
  const next = (): number => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  const appends: Promise<void>[] = [];
  for (let i = 0; i < 150; i++) {
    appends.push(world.append([{ id: `r${i}`, key: `key-${Math.floor(next() * 8)}` }]));
    await sleep(next() * 15);
  }
  await Promise.all(appends);
  const count = (): number => [...finals.values()].flat().length;
  await until(
    () => count() >= 150,
    () => `${count()} of 150 are in windows that have ended`,
  );
  const expected = new Map<string, string[]>();
  for (let partition = 0; partition < PARTITIONS; partition++)
    for (const { id, at } of await world.sender.read(KEY, partition, { after: 0, max: 1_000, bytesMax: 1e6 })) {
      const name = `${partition} ${Math.floor(at / 40) * 40}`;
      expected.set(name, [...(expected.get(name) ?? []), id]);
    }
  assert.deepEqual(finals, expected);
});
