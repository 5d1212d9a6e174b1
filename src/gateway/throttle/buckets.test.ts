// The token buckets: exact whatever the requests' times are, bounded, and gone when they remember nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Buckets, rateFrom } from './buckets.ts';

test('never more than burst + rate × t requests pass in any window', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.constantFrom(1_000, 60_000, 3_600_000),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 5_000, noNaN: true })), { minLength: 1, maxLength: 200 }),
      (count, perMs, burst, gaps) => {
        const set = new Buckets(10).set('r', rateFrom({ count, perMs }, burst));
        let nowMs = 1_000;
        const passed: number[] = [];
        for (const gap of gaps) {
          nowMs += gap;
          const bucket = set.take('k', nowMs);
          const left = set.left('k', nowMs);
          const may = set.waitMs(bucket, nowMs) === 0;
          assert.equal(may, left >= 1, `with ${left} left`);
          if (!may) continue;
          set.spend(bucket, nowMs);
          passed.push(nowMs);
        }
        for (let from = 0; from < passed.length; from++) {
          for (let to = from; to < passed.length; to++) {
            const most = burst + ((passed[to]! - passed[from]!) * count) / perMs;
            assert.ok(to - from + 1 <= Math.floor(most + 2e-6), `${to - from + 1} passed where ${most} may`);
          }
        }
      },
    ),
  );
});

test('a client that waits as long as it is told passes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.constantFrom(1_000, 60_000),
      fc.integer({ min: 1, max: 20 }),
      (count, perMs, burst) => {
        const set = new Buckets(10).set('r', rateFrom({ count, perMs }, burst));
        let nowMs = 5;
        const bucket = set.take('k', nowMs);
        for (let i = 0; i < burst; i++) {
          assert.equal(set.waitMs(bucket, nowMs), 0);
          set.spend(bucket, nowMs);
        }
        const waitMs = set.waitMs(bucket, nowMs);
        assert.ok(waitMs > 0 && waitMs <= perMs / count + 1e-6);
        assert.equal(set.left('k', nowMs), 0);
        nowMs += Math.ceil(waitMs / 1_000) * 1_000;
        assert.equal(set.waitMs(bucket, nowMs), 0);
        assert.ok(set.left('k', nowMs) >= 1);
      },
    ),
  );
});

test('at the bound the fullest of the oldest goes, and a client that is held back and goes on asking stays held back', () => {
  const buckets = new Buckets(100);
  const set = buckets.set('r', rateFrom({ count: 1, perMs: 60_000 }, 2));
  for (let i = 0; i < 2; i++) set.spend(set.take('greedy', 1), 1);
  for (let i = 0; i < 10_000; i++) {
    set.spend(set.take(`other ${i}`, 2), 2);
    assert.ok(set.waitMs(set.take('greedy', 2), 2) > 0, 'it got a new bucket');
    assert.ok(buckets.size <= 100);
  }
  assert.equal(set.byKey.size, buckets.size);
});

test('what is full again goes when others come', () => {
  const buckets = new Buckets(1_000);
  const old = buckets.set('old', rateFrom({ count: 10, perMs: 1_000 }, 10));
  for (let i = 0; i < 500; i++) old.spend(old.take(String(i), 1), 1);
  const fresh = buckets.set('fresh', rateFrom({ count: 1, perMs: 1_000 }, 1));
  for (let i = 0; i < 300; i++) fresh.spend(fresh.take(String(i), 10_000), 10_000);
  assert.deepEqual([buckets.size, old.byKey.size], [300, 0]);
});

test('an id is one set, with or without buckets', () => {
  const buckets = new Buckets(10);
  const rate = rateFrom({ count: 1, perMs: 1_000 }, 1);
  assert.equal(buckets.set('a', rate), buckets.set('a', rate));
  assert.notEqual(buckets.set('a', rate), buckets.set('b', rate));
});
