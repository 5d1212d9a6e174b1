// What a diff says of events.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { consumerChanges, sourceChanges } from './event-changes.ts';

const told = (before: EventsSection, after: EventsSection): string[] =>
  sourceChanges(before, after).map(({ kind, name, change, detail }) => `${change} ${kind} ${name}: ${detail.join(', ')}`);

test('sources that come, go and change are told with their values', () => {
  const before: EventsSection = {
    queues: { orders: { visibility: '30s', retry: { attempts: 5 } }, same: { fifo: true }, old: {} },
    schedules: { nightly: { cron: '0 3 * * *' } },
  };
  const after: EventsSection = {
    queues: {
      orders: { visibility: '1m', retry: { attempts: 3, delay: '2s' }, deadLetters: 'same' },
      same: { fifo: true },
      new: { fifo: true },
    },
    schedules: { nightly: { rate: '1h', missed: 'skip' } },
    streams: { clicks: {} },
  };
  assert.deepEqual(told(before, after), [
    'create queue new: fifo true',
    'remove queue old: ',
    'update queue orders: deadLetters same, retry.attempts 5 → 3, retry.delay 2s, visibility 30s → 1m',
    'none queue same: ',
    'create stream clicks: ',
    'update schedule nightly: cron removed, missed skip, rate 1h',
  ]);
});

test('subscriptions of topics are told by where they go, never with what may be secret', () => {
  const before: EventsSection = {
    topics: {
      prices: {
        subscriptions: [{ queue: 'orders' }, { name: 'slack', url: 'https://hooks.example.com/T0/SECRET', headers: { 'x-a': 'one' } }],
      },
    },
  };
  const after: EventsSection = {
    topics: {
      prices: {
        subscriptions: [
          { queue: 'reports', filter: { attributes: { kind: ['book'] } } },
          { name: 'slack', url: 'https://hooks.example.com/T0/OTHER', headers: { 'x-a': 'two' }, timeout: '5s' },
        ],
      },
    },
  };
  const [line] = told(before, after);
  assert.equal(
    line,
    'update topic prices: subscription queue orders removed, subscription queue reports added, subscription slack (hooks.example.com): headers.x-a changed, timeout 5s, url changed',
  );
});

test('what functions take is told by source', () => {
  const before: EventsSection = { triggers: { ship: [{ queue: 'orders' }, { topic: 'prices', filter: { attributes: { a: ['x'] } } }] } };
  const after: EventsSection = {
    triggers: { ship: [{ queue: 'orders', batch: 20, wait: '1s' }, { schedule: 'nightly' }] },
    async: { ship: { maxAge: '1h' } },
    workflows: { ship: true },
  };
  assert.deepEqual(consumerChanges('ship', before, after), [
    'trigger queue orders: batch 20, wait 1s',
    'trigger schedule nightly added',
    'trigger topic prices removed',
    'async added',
    'workflow true',
  ]);
  assert.deepEqual(consumerChanges('ship', after, after), []);
});
