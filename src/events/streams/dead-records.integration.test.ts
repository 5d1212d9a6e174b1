// What becomes of records that were given up, over the bus on Postgres.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Trigger } from '../../protocol/sources/triggers.ts';
import { startTestPostgres } from '../../store/records/testing.ts';
import type { TestPostgres } from '../../store/records/testing.ts';
import type { StreamRecord } from '../bus.ts';
import { PostgresBus } from '../postgres/postgres.ts';
import { topologyOf } from '../topology.ts';
import { putAside } from './dead-records.ts';
import { readerRulesOf } from './reader-rules.ts';

const DAY_MS = 86_400_000;
let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

class World {
  nowMs = 1_700_000_000_000;
  readonly database: Awaited<ReturnType<TestPostgres['database']>>;
  readonly bus: PostgresBus;

  constructor(database: World['database']) {
    this.database = database;
    const now = (): number => this.nowMs;
    this.bus = new PostgresBus({ connection: database.connection, holder: 'edge', log: () => {}, now, monotonic: now });
  }

  async giveUp(trigger: Partial<Trigger>, position: number, error = 'it is poison'): Promise<void> {
    const { queue, dead } = readerRulesOf(triggerOf(trigger));
    const record: StreamRecord = {
      id: `rec_${position}`,
      partitionKey: 'k',
      data: 'x',
      attributes: {},
      partition: 0,
      position,
      at: this.nowMs,
    };
    const batch = { project: 'shop', stream: 'clicks', partition: 0, records: [record], window: undefined, final: false };
    await putAside(this.bus, { ...batch, queue, dead, error }, this.nowMs);
  }

  async idsIn(key: string): Promise<string[]> {
    return (await this.bus.peek(key, { limit: 10 })).map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bus[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }
}

const EVENTS = { queues: { failed: { fifo: true, retention: '30d' } }, streams: { clicks: {} } };

function topologyWith(trigger: Partial<Trigger>): ReturnType<typeof topologyOf> {
  return topologyOf('shop', { ...EVENTS, triggers: { count: [{ stream: 'clicks', ...trigger }] } }, ['count']);
}

function triggerOf(trigger: Partial<Trigger>) {
  return topologyWith(trigger).streams.get('clicks')!.triggers[0]!;
}

test('a dead letter of a stream is kept for two weeks, as all are', async () => {
  await using world = new World(await postgres.database());
  await world.giveUp({}, 1);
  for (const [days, ids] of [
    [13, ['rec_1']],
    [15, []],
  ] as const) {
    world.nowMs += days * DAY_MS;
    await world.bus.upkeep();
    assert.deepEqual(await world.idsIn('shop/dead/stream/clicks/count'), ids, `after ${days} days`);
    world.nowMs -= days * DAY_MS;
  }
});

test('a queue of the project that is named for dead letters stays as virga.yaml says', async () => {
  await using world = new World(await postgres.database());
  const { spec } = topologyWith({}).queues.get('failed')!;
  await world.bus.send([{ queue: spec, messages: [{ id: 'own', body: 'x', attributes: {}, group: 'g' }] }]);
  await world.giveUp({ deadLetters: 'failed' }, 1);
  const { rows } = await world.database.records.query<{ fifo: boolean; retention_ms: string }>(
    `select fifo, retention_ms from event_queues where key = 'shop/queue/failed'`,
  );
  assert.deepEqual(rows, [{ fifo: true, retention_ms: String(30 * DAY_MS) }]);
  world.nowMs += 20 * DAY_MS;
  await world.bus.upkeep();
  assert.deepEqual(await world.idsIn('shop/queue/failed'), ['own', 'rec_1']);
});

test('a record that is given up twice is one dead letter, and again one when the first was dropped', async () => {
  for (const trigger of [{}, { deadLetters: 'failed' }]) {
    await using world = new World(await postgres.database());
    const key = 'deadLetters' in trigger ? 'shop/queue/failed' : 'shop/dead/stream/clicks/count';
    await world.giveUp(trigger, 7);
    await world.giveUp(trigger, 7);
    assert.deepEqual(await world.idsIn(key), ['rec_7']);
    // Somebody drops it, and has the function read the stream once more.
    await world.bus.purge(key);
    await world.giveUp(trigger, 7);
    assert.deepEqual(await world.idsIn(key), ['rec_7']);
  }
});

test('an error with characters that no database keeps is no reason to stand still', async () => {
  await using world = new World(await postgres.database());
  for (const [position, error] of [
    [1, 'NUL \0 in it'],
    [2, `${'x'.repeat(1_023)}😀`],
  ] as const) {
    await world.giveUp({}, position, error);
    assert.deepEqual((await world.idsIn('shop/dead/stream/clicks/count')).at(-1), `rec_${position}`);
  }
});
