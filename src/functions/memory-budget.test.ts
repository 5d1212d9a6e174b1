import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryBudget, heldMiB } from './memory-budget.ts';

test('whatever is taken, changed and given, the sum stays within the budget and ends where it began', () => {
  const step = fc.record({ what: fc.constantFrom('take', 'change', 'give'), which: fc.nat(50), mib: fc.integer({ min: 1, max: 300 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const budget = new MemoryBudget({ limitMiB: 1_000, sandboxesMax: 12 });
      const held: number[] = [];
      for (const { what, which, mib } of steps) {
        if (what === 'take') {
          if (budget.take(mib)) held.push(mib);
        } else if (held.length > 0) {
          const at = which % held.length;
          if (what === 'give') budget.give(held.splice(at, 1)[0]!);
          else if (budget.change(held[at]!, mib)) held[at] = mib;
        }
        assert.equal(
          budget.usedMiB,
          held.reduce((sum, one) => sum + one, 0),
        );
        assert.ok(budget.usedMiB <= 1_000 && budget.count === held.length && held.length <= 12);
      }
      for (const mib of held) budget.give(mib);
      assert.deepEqual([budget.usedMiB, budget.count], [0, 0]);
    }),
  );
});

test('a stopped instance counts with what it holds and a little, never with more than its limit, and with that when nobody knows', () => {
  assert.equal(heldMiB(256, 40 * 1024 * 1024), 44);
  assert.equal(heldMiB(42, 40 * 1024 * 1024), 42);
  assert.equal(heldMiB(256, 0), 256);
});
