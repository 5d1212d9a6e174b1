import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamTable } from './stream-table.ts';

interface Item {
  readonly stream: number;
  nextInTable: Item | undefined;
}

test('a stream table holds what a Map would, and what was removed points at nothing', () => {
  const step = fc.record({ stream: fc.integer({ min: 1, max: 300 }), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new StreamTable<Item>();
      const expected = new Map<number, Item>();
      for (const { stream, remove } of steps) {
        const there = expected.get(stream);
        assert.equal(table.get(stream), there);
        if (remove) {
          table.delete(stream);
          expected.delete(stream);
          assert.equal(there?.nextInTable, undefined);
        } else if (there === undefined) {
          const item: Item = { stream, nextInTable: undefined };
          table.add(item);
          expected.set(stream, item);
        }
        assert.equal(table.size, expected.size);
      }
      assert.deepEqual(new Set(table.items()), new Set(expected.values()));
    }),
  );
});
