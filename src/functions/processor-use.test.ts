import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProcessorUse, usefulInstances } from './processor-use.ts';

function useOf(processorMs: number | undefined, busyMs: number, calls: number): ProcessorUse {
  const use = new ProcessorUse(2);
  use.measured({ processorMs, busyMs, calls, quickestMs: busyMs / calls, crowding: 1 });
  return use;
}
const on2 = { processors: 2, concurrency: 1 };

test('a handler that computes gets as many instances as there are processors, twice as many when its calls are long', () => {
  assert.equal(usefulInstances(useOf(95, 100, 10), { ...on2, serviceMs: 10 }), 2);
  assert.equal(usefulInstances(useOf(990, 1_000, 5), { ...on2, serviceMs: 200 }), 4);
});

test('a handler that takes microseconds computes, whatever is known of its processor time', () => {
  assert.equal(usefulInstances(useOf(undefined, 100, 1_000), { ...on2, serviceMs: 0.1 }), 2);
});

test('a handler that waits gets as many as it can use', () => {
  assert.ok(usefulInstances(useOf(1, 100, 2), { ...on2, serviceMs: 50 }) >= 50);
  assert.ok(usefulInstances(useOf(1, 100, 2), { ...on2, concurrency: 10, serviceMs: 50 }) < 30);
});

test('on a crowded machine a handler that computes is still known for one, and one that waits for one that waits', () => {
  const crowded = { calls: 30, crowding: 6 };
  const computes = new ProcessorUse(2);
  computes.measured({ ...crowded, processorMs: 150, busyMs: 900, quickestMs: 5.2 });
  assert.ok(computes.demand > 0.9, String(computes.demand));
  const waits = new ProcessorUse(2);
  waits.measured({ ...crowded, processorMs: 15, busyMs: 1_800, quickestMs: 50 });
  assert.ok(waits.demand < 0.02, String(waits.demand));
  // Some of its calls find what they want at once, most wait for it.
  const mixed = new ProcessorUse(2);
  mixed.measured({ ...crowded, processorMs: 24, busyMs: 6_000, quickestMs: 0.8 });
  assert.ok(mixed.demand < 0.05, String(mixed.demand));
});

test('before anything is known, a few are started', () => {
  assert.equal(usefulInstances(new ProcessorUse(2), { ...on2, serviceMs: 1 }), 4);
  assert.equal(usefulInstances(new ProcessorUse(8), { ...on2, processors: 8, serviceMs: 1 }), 16);
});

test('whatever is measured, the demand is between none and all processors, and one instance is always of use', () => {
  const measurement = fc.record({
    processorMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
    busyMs: fc.double({ min: 5, max: 1e6, noNaN: true }),
    calls: fc.nat(100_000),
    quickestMs: fc.oneof(fc.constant(Infinity), fc.double({ min: 0.001, max: 1e6, noNaN: true })),
    crowding: fc.double({ min: 1, max: 100, noNaN: true }),
  });
  fc.assert(
    fc.property(
      fc.array(measurement, { maxLength: 20 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 1_000 }),
      (all, processors, concurrency) => {
        const use = new ProcessorUse(processors);
        for (const one of all) {
          use.measured(one);
          assert.ok(use.demand >= 0 && use.demand <= processors && use.msPerCall > 0);
          assert.ok(usefulInstances(use, { processors, concurrency, serviceMs: 5 }) >= 1);
        }
      },
    ),
  );
});
