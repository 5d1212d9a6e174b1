import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QueueStats } from '../events/bus.ts';
import { QueueRates } from './queue-rates.ts';

function stats(sent: number, done = 0): QueueStats {
  return { key: 'shop/queue/orders', pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null, sent, done, retried: 0, dead: 0 };
}

test('rates are of two readings at least a second apart, and there are none for the first', () => {
  const rates = new QueueRates();
  assert.equal(rates.of(stats(0), 10_000), null);
  assert.equal(rates.of(stats(5), 10_500), null);
  assert.deepEqual(rates.of(stats(20, 10), 12_000), { overMs: 2_000, sent: 10, done: 5, retried: 0, dead: 0 });
});

test('they are of the last minute where it was looked at, else of what is there, and of five minutes at most', () => {
  const rates = new QueueRates();
  rates.of(stats(0), 0);
  assert.deepEqual(rates.of(stats(120), 120_000), { overMs: 120_000, sent: 1, done: 0, retried: 0, dead: 0 });
  assert.deepEqual(rates.of(stats(300), 150_000), { overMs: 30_000, sent: 6, done: 0, retried: 0, dead: 0 });
  assert.equal(rates.of(stats(301), 500_000), null);
});

test('a queue that was made anew, or a clock that was set back, has no rates of before', () => {
  const rates = new QueueRates();
  rates.of(stats(1_000), 10_000);
  assert.equal(rates.of(stats(3), 20_000), null);
  assert.equal(rates.of(stats(4), 5_000), null);
  assert.equal(rates.of(undefined, 30_000), null);
});
