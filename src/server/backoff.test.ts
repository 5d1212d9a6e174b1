import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';

test('waits double up to ten seconds while it keeps failing', () => {
  let now = 0;
  const backoff = new Backoff(() => now);
  const waits = Array.from({ length: 9 }, () => {
    backoff.succeeded();
    now += 100;
    return backoff.next();
  });
  assert.deepEqual(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test('a healthy life of two seconds starts the waits anew', () => {
  let now = 0;
  const backoff = new Backoff(() => now);
  backoff.next();
  backoff.next();
  backoff.succeeded();
  now += 2_000;
  assert.equal(backoff.next(), 100);
});
