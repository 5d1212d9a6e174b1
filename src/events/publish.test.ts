// What publishing does before anything is stored: it leaves the event loop to others, and numbers as they were.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudEvent } from '../protocol/events.ts';
import type { FilterPattern } from '../protocol/sources/filter.ts';
import type { SendBatch } from './bus.ts';
import { jsonOf } from './cloud-events/http-in.ts';
import { Publisher } from './publish.ts';
import { topologyOf } from './topology.ts';

function publishing(patterns: FilterPattern[]) {
  const sent: SendBatch[] = [];
  const triggers = Object.fromEntries(patterns.map((event, index) => [`f${index}`, [{ event }]]));
  const topology = topologyOf('shop', { triggers });
  const publisher = new Publisher({
    bus: {
      send: async (batches) => {
        sent.push(...batches);
        return batches.map(({ messages }) => messages.map(({ id }) => ({ result: 'sent', id, sequence: '1' })));
      },
      append: () => assert.fail('nothing is appended'),
    },
    topologyOf: () => topology,
    limits: { messageBytesMax: 262_144 },
    now: () => 0,
  });
  return { publisher, sent };
}

test('filters that take long give others their turn in between', async () => {
  const slow = Array.from({ length: 20 }, (_, n) => ({ wildcard: `*${'a'.repeat(500)}b${n}*` }));
  const { publisher, sent } = publishing(Array.from({ length: 12 }, () => ({ data: { text: slow } })));
  let turns = 0;
  let next = setImmediate(function turn() {
    turns++;
    next = setImmediate(turn);
  });
  const event: CloudEvent = { specversion: '1.0', id: 'e-1', source: '/x', type: 't', data: { text: 'a'.repeat(250_000) } };
  assert.deepEqual(await publisher.publishEvents('shop', [event]), [{ id: 'e-1', deliveries: 0 }]);
  clearImmediate(next);
  assert.deepEqual(sent, []);
  assert.ok(turns >= 2, `${turns} turns of others while it looked`);
});

test('a number that no double holds is stored as it was written, and filtered as a number', async () => {
  const { publisher, sent } = publishing([{ data: { id: [{ numeric: ['>', 9_007_199_254_740_000] }] } }]);
  const text = '{"specversion":"1.0","id":"e-1","source":"/x","type":"t","data":{"id":9007199254740993}}';
  const [published] = await publisher.publishEvents('shop', [jsonOf(Buffer.from(text)) as CloudEvent]);
  assert.deepEqual([published!.deliveries, sent[0]!.messages[0]!.body], [1, text]);
});

test('a message that would be too old before it is delivered is refused, with the remedy', async () => {
  const topology = topologyOf('shop', { queues: { brief: { retention: '1m' } } });
  const publisher = new Publisher({
    bus: { send: () => assert.fail('nothing is sent'), append: () => assert.fail('nothing is appended') },
    topologyOf: () => topology,
    limits: { messageBytesMax: 1_000 },
    now: () => 0,
  });
  await assert.rejects(publisher.send('shop', 'brief', [{ body: 'x', delayMs: 60_000 }]), {
    code: 'invalid_request',
    message: /'delayMs': it is 60000, and the queue 'brief' keeps messages for 60000 ms.*`retention`/,
  });
});
