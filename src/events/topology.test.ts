// What virga.yaml's sources are compiled to: under which names messages wait, so that a deployment that moves things about in a list neither
// leaves them behind nor gives them to somebody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { topologyOf } from './topology.ts';

const webhooks = (events: EventsSection): Record<string, string> => {
  const { subscriptions } = topologyOf('shop', events).topics.get('prices')!;
  return Object.fromEntries(subscriptions.flatMap(({ to, queue }) => ('webhook' in to ? [[to.webhook.url!, queue.key]] : [])));
};

test('what waits for a webhook stays its own when the one before it is taken away', () => {
  const [a, b] = [{ url: 'https://a.example/hook' }, { url: 'https://b.example/hook' }];
  const both = webhooks({ topics: { prices: { subscriptions: [a, b] } } });
  const one = webhooks({ topics: { prices: { subscriptions: [b] } } });
  assert.equal(one[b.url], both[b.url]);
  assert.notEqual(both[a.url], both[b.url]);
  assert.equal(webhooks({ topics: { prices: { subscriptions: [{ ...a, name: 'erp' }] } } })[a.url], 'shop/webhook/prices/erp');
});

test('a trigger of another kind before an event leaves what waits for the event where it is', () => {
  const keys = (triggers: EventsSection['triggers']): string[] =>
    topologyOf('shop', { queues: { orders: {} }, triggers }, ['f']).eventSubscriptions.map(({ queue }) => queue.key);
  const event = { event: { type: ['a'] } };
  const other = { event: { type: ['b'] } };
  assert.deepEqual(keys({ f: [event, other] }), ['shop/event/f', 'shop/event/f/1']);
  assert.deepEqual(keys({ f: [{ queue: 'orders' }, event, other] }), ['shop/event/f', 'shop/event/f/1']);
});

test('a webhook is tried over hours where nothing else is said, and still within its age; an asynchronous invocation three times', () => {
  const { consumers } = topologyOf('shop', { topics: { prices: { subscriptions: [{ url: 'https://a.example/' }] } } }, ['f']);
  const { retry, queue } = consumers.find(({ kind }) => kind === 'webhook')!;
  let [least, most] = [0, 0];
  for (let attempt = 1; attempt < retry.attempts; attempt++) {
    const wait = Math.min(retry.maxDelayMs, retry.delayMs * 2 ** (attempt - 1));
    least += wait / 2;
    most += wait;
  }
  assert.ok(least > 5 * 3_600_000 && most < queue.retentionMs, `from ${least} to ${most} ms`);
  assert.ok(queue.receivesMax > retry.attempts);
});
