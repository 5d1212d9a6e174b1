import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EvictionClock } from './eviction.ts';
import type { Holding } from './eviction.ts';

const holding: fc.Arbitrary<Holding> = fc.record({
  usedAtClock: fc.double({ min: 0, max: 1e6, noNaN: true }),
  frequency: fc.integer({ min: 0, max: 100_000 }),
  coldMs: fc.double({ min: 0.1, max: 30_000, noNaN: true }),
  heldMiB: fc.integer({ min: 1, max: 65_536 }),
});

test('a large instance that is rarely called goes before small ones that are called often', () => {
  const clock = new EvictionClock();
  const base = { usedAtClock: 0, coldMs: 20 };
  const large = clock.worth({ ...base, frequency: 1, heldMiB: 512 });
  assert.ok(large < clock.worth({ ...base, frequency: 1, heldMiB: 64 }));
  assert.ok(large < clock.worth({ ...base, frequency: 10, heldMiB: 512 }));
});

test('an instance that nobody calls falls behind one that is used after others were given up', () => {
  const clock = new EvictionClock();
  const once = { usedAtClock: clock.now, frequency: 100, coldMs: 20, heldMiB: 64 };
  for (let i = 0; i < 1_000 && clock.now <= clock.worth(once); i++) {
    clock.gaveUp(clock.worth({ usedAtClock: clock.now, frequency: 1, coldMs: 20, heldMiB: 64 }));
  }
  assert.ok(clock.worth(once) < clock.worth({ usedAtClock: clock.now, frequency: 1, coldMs: 20, heldMiB: 64 }));
});

test('the clock never falls, and worth grows with calls and cold start and falls with size', () => {
  fc.assert(
    fc.property(fc.array(holding, { maxLength: 30 }), holding, (gone, one) => {
      const clock = new EvictionClock();
      let before = clock.now;
      for (const each of gone) {
        clock.gaveUp(clock.worth(each));
        assert.ok(clock.now >= before);
        before = clock.now;
      }
      assert.ok(clock.worth({ ...one, frequency: one.frequency + 1 }) >= clock.worth(one));
      assert.ok(clock.worth({ ...one, coldMs: one.coldMs * 2 }) >= clock.worth(one));
      assert.ok(clock.worth({ ...one, heldMiB: one.heldMiB * 2 }) <= clock.worth(one));
    }),
  );
});
