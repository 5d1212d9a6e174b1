// Names of queues on the bus: what waits for a trigger or a URL stays its own, whatever else a deploy adds, removes or moves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { topologyOf } from './topology.ts';

const keysOf = (events: EventsSection, kind: string): string[] =>
  topologyOf('shop', events)
    .consumers.filter((consumer) => consumer.kind === kind)
    .map(({ queue }) => queue.key);

test('an event trigger keeps its queue when triggers of other kinds come and go', () => {
  const event = { event: { type: ['order.placed'] } };
  const alone = keysOf({ triggers: { ship: [event] } }, 'event');
  assert.deepEqual(alone, ['shop/event/ship']);
  assert.deepEqual(keysOf({ queues: { orders: {} }, triggers: { ship: [{ queue: 'orders' }, event] } }, 'event'), alone);
  assert.deepEqual(keysOf({ triggers: { ship: [event, { event: { type: ['x'] } }] } }, 'event'), [...alone, 'shop/event/ship/1']);
});

test('a webhook keeps its queue wherever it stands: nothing that waits for one URL goes to another', () => {
  const [a, b] = [{ url: 'https://a.example/hook' }, { url: 'https://b.example/hook' }];
  const of = (subscriptions: NonNullable<NonNullable<EventsSection['topics']>[string]['subscriptions']>): Map<string, string> => {
    const { topics } = topologyOf('shop', { queues: { orders: {} }, topics: { prices: { subscriptions } } });
    return new Map(
      topics.get('prices')!.subscriptions.flatMap(({ queue, to }) => ('webhook' in to ? [[to.webhook.url!, queue.key] as const] : [])),
    );
  };
  const first = of([a, b]);
  assert.notEqual(first.get(a.url), first.get(b.url));
  assert.deepEqual(of([{ queue: 'orders' }, b, a]), first);
  assert.deepEqual([...of([b]).values()], [first.get(b.url)]);
  assert.deepEqual([...of([{ ...b, name: 'partner' }]).values()], ['shop/webhook/prices/partner']);
});
