import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decimalMs, threeDigits } from './decimal-ms.ts';

test('milliseconds are written with three decimals at most, as the number that they are', () => {
  assert.deepEqual([0, 0.0004, 0.0006, 0.25, 1, 12.0344, 999.9996].map(decimalMs), ['0', '0', '0.001', '0.250', '1', '12.034', '1000']);
  assert.equal(threeDigits(7), '007');
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e12, noNaN: true }), (ms) => {
      assert.ok(Math.abs(Number(decimalMs(ms)) - ms) <= 0.00051 + ms * 1e-15, String(ms));
    }),
  );
});
