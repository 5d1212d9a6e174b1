import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ProcessorUse, usefulInstances } from './processor-use.ts';

function useOf(processorMs: number | undefined, busyMs: number, calls: number, saturated = false): ProcessorUse {
  const use = new ProcessorUse(2);
  use.measured({ processorMs, busyMs, calls, saturated });
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

test('what is measured while every processor is busy raises the estimate at once and lowers it slowly', () => {
  const use = useOf(100, 100, 1);
  const before = use.demand;
  use.measured({ processorMs: 20, busyMs: 100, calls: 1, saturated: true });
  assert.ok(use.demand > before * 0.97);
  for (let i = 0; i < 20; i++) use.measured({ processorMs: 20, busyMs: 100, calls: 1, saturated: false });
  assert.ok(use.demand < 0.25);
  use.measured({ processorMs: 100, busyMs: 100, calls: 1, saturated: true });
  assert.ok(use.demand > 0.55);
});

test('before anything is known, a few are started', () => {
  assert.equal(usefulInstances(new ProcessorUse(2), { ...on2, serviceMs: 1 }), 4);
  assert.equal(usefulInstances(new ProcessorUse(8), { ...on2, processors: 8, serviceMs: 1 }), 16);
});

test('whatever is measured, the demand is between none and all processors, and one instance is always of use', () => {
  const measurement = fc.record({
    processorMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
    busyMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    calls: fc.nat(100_000),
    saturated: fc.boolean(),
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
