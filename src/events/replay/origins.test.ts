// What ids name of streams: dead letters of their triggers, and records by their place.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudEvent, StreamBatch } from '../../protocol/events.ts';
import type { StoredMessage, StreamRecord } from '../bus.ts';
import { topologyOf } from '../topology.ts';
import { originsOf } from './origins.ts';
import type { Origin, OriginParts } from './origins.ts';

const NOW = 1_700_000_001_000;
const TOPOLOGY = topologyOf(
  'shop',
  {
    streams: { clicks: { partitions: 2 } },
    triggers: { read: [{ stream: 'clicks' }], count: [{ stream: 'clicks', window: { size: '10s' } }] },
  },
  ['read', 'count'],
);

function parts(letters: Record<string, StoredMessage> = {}): OriginParts {
  const record: StreamRecord = {
    id: 'rec_1',
    partitionKey: 'ada',
    data: '{"page":"/tea"}',
    attributes: { a: '1' },
    partition: 1,
    position: 17,
    at: NOW,
  };
  return {
    sql: { query: () => Promise.resolve({ rows: [], rowCount: 0 }) },
    async: { find: () => Promise.resolve(undefined) },
    now: () => NOW,
    bus: {
      keys: () => Promise.resolve(['shop/stream/clicks', 'shop/stream/clicks/read', 'shop/dead/stream/clicks/read', 'shop/stream/gone']),
      find: (key) => Promise.resolve(letters[key]),
      partitions: () =>
        Promise.resolve([0, 1].map((partition) => ({ partition, oldest: 11, newest: 10 + 10 * partition, bytes: 0, newestAt: null }))),
      read: (_key, partition, { after }) => Promise.resolve(partition === 1 && after < 17 ? [record] : []),
    },
  };
}

function eventOf({ call }: Pick<Origin, 'call'>): StreamBatch {
  return (JSON.parse(call.body.toString()) as CloudEvent<StreamBatch>).data!;
}

test('a record of a stream is what its place names, for each function as it gets it', async () => {
  const [origin, ...others] = await originsOf(parts(), TOPOLOGY, 'clicks/1:17');
  assert.equal(others.length, 0);
  assert.deepEqual([origin!.source, origin!.functions], ['stream/clicks', ['read', 'count']]);
  const records = [{ id: 'rec_1', key: 'ada', data: '{"page":"/tea"}', attributes: { a: '1' }, position: 17, at: NOW }];
  assert.deepEqual(eventOf(origin!), { stream: 'clicks', partition: 1, records });
  const window = { start: 1_700_000_000_000, end: 1_700_000_010_000, final: false };
  assert.deepEqual(eventOf({ call: origin!.callsBy!.get('count')! }), { stream: 'clicks', partition: 1, records, window });
  // virga.yaml does not name it any more.
  assert.deepEqual((await originsOf(parts(), TOPOLOGY, 'gone/1:17'))[0]!.functions, []);
});

test('a place that has no record is told of with those that have one', async () => {
  const messageOf = async (id: string): Promise<string> =>
    await originsOf(parts(), TOPOLOGY, id).then(
      () => 'found',
      (error: Error) => error.message,
    );
  assert.match(await messageOf('clicks/1:18'), /partition 1 of the stream 'clicks' has no record 18; it has 11 to 20/);
  assert.match(await messageOf('clicks/0:1'), /partition 0 of the stream 'clicks' has no record 1; it is empty/);
  assert.match(await messageOf('clicks/2:1'), /the stream 'clicks' has no partition 2; it has 0 to 1/);
  assert.deepEqual(await originsOf(parts(), TOPOLOGY, 'nothing/1:17'), []);
});

test('a dead letter of a stream is the event that its function was called with, wherever it lies', async () => {
  const letter: StoredMessage = {
    id: 'rec_9',
    body: '{"specversion":"1.0"}',
    attributes: {},
    group: null,
    deduplicationId: null,
    sequence: '1',
    sentAt: NOW,
    firstReceivedAt: null,
    attempt: 0,
    lastError: 'poison',
    state: 'pending',
    dueAt: NOW,
    died: { from: 'shop/stream/clicks/read', reason: 'rejected', at: NOW },
  };
  for (const [key, died] of [
    ['shop/dead/stream/clicks/read', letter.died],
    // It was redriven, and waits for its next attempt.
    ['shop/stream/clicks/read', null],
  ] as const) {
    const [origin] = await originsOf(parts({ [key]: { ...letter, died } }), TOPOLOGY, 'rec_9');
    assert.deepEqual([origin!.source, origin!.functions, origin!.call.body.toString()], ['stream/clicks', ['read'], letter.body]);
  }
});
