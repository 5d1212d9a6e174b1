import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Attempts, backoffMs } from './attempts.ts';

const retry = { attempts: 3, delayMs: 1_000, maxDelayMs: 60_000 };

/** Reads 1 … `count`; calls that hold one of `poison` fail. What each call had. */
function readAll({ count, batch, poison }: { count: number; batch: number; poison: Set<number> }): {
  calls: number[][];
  skipped: number[];
} {
  const attempts = new Attempts(() => 1);
  const calls: number[][] = [];
  const skipped: number[] = [];
  for (let position = 0; position < count;) {
    const size = Math.min(attempts.size(batch), count - position);
    const records = Array.from({ length: size }, (_, index) => position + 1 + index);
    calls.push(records);
    const last = records.at(-1)!;
    if (!records.some((one) => poison.has(one))) attempts.passed((position = last));
    else if (attempts.failed({ first: records[0]!, last, count: size }, retry).givenUp) {
      skipped.push(...records);
      attempts.passed((position = last));
    }
    assert.ok(calls.length < 10_000);
  }
  return { calls, skipped };
}

test('of a batch that fails as a whole only the record that fails alone is given up', () => {
  const { calls, skipped } = readAll({ count: 300, batch: 100, poison: new Set([137]) });
  assert.deepEqual(skipped, [137]);
  assert.ok(calls.length < 30, `${calls.length} calls`);
  assert.equal(calls.filter((call) => call.length === 1 && call[0] === 137).length, retry.attempts);
  assert.equal(calls.at(-1)!.length, 300 - calls.at(-1)![0]! + 1);
});

test('whatever fails, each other record is handled, in order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 70 }),
      fc.array(fc.integer({ min: 1, max: 200 })),
      (count, batch, bad) => {
        const poison = new Set(bad.filter((one) => one <= count));
        const { calls, skipped } = readAll({ count, batch, poison });
        assert.deepEqual(
          skipped,
          [...poison].toSorted((a, b) => a - b),
        );
        const handled = calls.filter((call) => !call.some((one) => poison.has(one))).flat();
        assert.deepEqual(
          handled,
          Array.from({ length: count }, (_, index) => index + 1).filter((one) => !poison.has(one)),
        );
      },
    ),
  );
});

test('a record that the function names is known to be the one: its attempts count at once', () => {
  const attempts = new Attempts(() => 1);
  assert.deepEqual(
    [7, 7, 8, 8, 8].map((position) => attempts.failedAlone(position, retry)),
    [
      { givenUp: false, delayMs: 1_000 },
      { givenUp: false, delayMs: 2_000 },
      { givenUp: false, delayMs: 1_000 },
      { givenUp: false, delayMs: 2_000 },
      { givenUp: true, delayMs: 4_000 },
    ],
  );
});

test('the wait doubles to its bound, and half of it is left to chance', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 60].map((failures) => backoffMs(failures, { delayMs: 1_000, maxDelayMs: 10_000 }, () => 0)),
    [500, 1_000, 2_000, 4_000, 5_000, 5_000],
  );
  assert.equal(
    backoffMs(2, retry, () => 0.999_999),
    2_000,
  );
});
