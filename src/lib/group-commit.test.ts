// Calls that come together leave together.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCommit } from './group-commit.ts';

test('what comes while a batch is on its way goes with the next one', async () => {
  const batches: number[][] = [];
  const commit = new GroupCommit<number, number>({
    run: async (items) => (batches.push(items), items.map((item) => (item === 3 ? { error: new Error('three') } : { value: item * 2 }))),
    weigh: () => ({ items: 1, bytes: 10 }),
    itemsMax: 3,
    bytesMax: 1_000,
  });
  const results = await Promise.allSettled([1, 2, 3, 4].map((item) => commit.add(item)));
  assert.deepEqual(batches, [[1, 2, 3], [4]]);
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
    [2, 4, 'failed', 8],
  );
});

test('who adds again at once when it has its outcome is not left waiting', async () => {
  const commit = new GroupCommit<number, number>({
    run: async (items) => items.map((value) => ({ value })),
    weigh: () => ({ items: 1, bytes: 0 }),
    itemsMax: 10,
    bytesMax: 10,
  });
  for (let n = 0; n < 100; n++) assert.equal(await commit.add(n), n);
  await commit.idle();
});
