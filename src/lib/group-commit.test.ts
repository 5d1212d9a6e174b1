import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCommit } from './group-commit.ts';
import type { Outcome, WaitingBounds } from './group-commit.ts';

/** Runs of numbers, each of which ends when the test says so. */
function laneUnderTest(bounds: { itemsMax?: number; bytesMax?: number; waiting?: WaitingBounds } = {}) {
  const runs: { items: number[]; end: (outcomes: Outcome<number>[]) => void; fail: (error: Error) => void }[] = [];
  let started = Promise.withResolvers<void>();
  const lane = new GroupCommit<number, number>({
    run: (items) => {
      const { promise, resolve, reject } = Promise.withResolvers<Outcome<number>[]>();
      runs.push({ items, end: resolve, fail: reject });
      started.resolve();
      started = Promise.withResolvers();
      return promise;
    },
    weigh: (item) => ({ items: 1, bytes: item }),
    itemsMax: 3,
    bytesMax: 100,
    ...bounds,
  });
  const next = async () => {
    if (runs.length === 0) await started.promise;
    return runs.shift()!;
  };
  return { lane, next, echo: async () => await next().then((run) => (run.end(run.items.map((value) => ({ value }))), run.items)) };
}

test('calls of one turn leave together, and what comes meanwhile leaves next, in order and within the bounds', async () => {
  const { lane, next, echo } = laneUnderTest();
  const answers = [1, 2].map((n) => lane.add(n));
  const first = await next();
  answers.push(...[3, 4, 5, 6, 200, 7].map((n) => lane.add(n)));
  assert.deepEqual(first.items, [1, 2]);
  first.end(first.items.map((value) => ({ value })));
  assert.deepEqual([await echo(), await echo(), await echo(), await echo()], [[3, 4, 5], [6], [200], [7]]);
  assert.deepEqual(await Promise.all(answers), [1, 2, 3, 4, 5, 6, 200, 7]);
  await lane.idle();
});

test('each call has its own outcome, and a run that fails is the outcome of all its calls', async () => {
  const { lane, next } = laneUnderTest();
  const codes = [1, 2, 3].map((n) => lane.add(n).catch((error: unknown) => String(error)));
  (await next()).end([{ value: 10 }, { error: 'full' }]);
  assert.deepEqual(await Promise.all(codes), [10, 'full', 'Error: a call of a batch has no outcome']);
  const again = [1, 2].map((n) => lane.add(n).catch((error: unknown) => String(error)));
  (await next()).fail(new Error('away'));
  assert.deepEqual(await Promise.all(again), ['Error: away', 'Error: away']);
});

test('who calls again as soon as it is answered is served', async () => {
  const { lane, echo } = laneUnderTest();
  const twice = lane.add(1).then(() => lane.add(2));
  assert.deepEqual([await echo(), await echo(), await twice], [[1], [2], 2]);
});

test('what waits is bounded in number and in time', async () => {
  let nowMs = 0;
  const waiting = { batchesMax: 2, msMax: 1_000, monotonic: () => nowMs, refusal: (why: string) => new Error(why) };
  const { lane, next, echo } = laneUnderTest({ waiting });
  const answers = [lane.add(0)];
  const first = await next();
  answers.push(...[1, 2, 3, 4, 5].map((n) => lane.add(n)));
  nowMs = 900;
  answers.push(...[6, 7].map((n) => lane.add(n)));
  nowMs = 1_001;
  first.end([{ value: 0 }]);
  assert.deepEqual(await echo(), [6]);
  const outcomes = await Promise.allSettled(answers);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as Error).message)),
    [0, 'late', 'late', 'late', 'late', 'late', 6, 'many'],
  );
});
