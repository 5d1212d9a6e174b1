import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IdleTimes } from './idle-times.ts';
import { keepAlive } from './keep-alive.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

function idleTimes(...times: number[]): IdleTimes {
  const made = new IdleTimes();
  for (const time of times) made.observe(time);
  return made;
}
const light = { idleMs: 5 * MINUTE_MS, coldMs: 5, initMs: 2, heldMiB: 45 };
const heavy = { idleMs: 5 * MINUTE_MS, coldMs: 800, initMs: 700, heldMiB: 100 };
const times = (count: number, ms: number, spread = 0): number[] =>
  Array.from({ length: count }, (_, i) => ms * (1 + (spread * (i % 3)) / 2));

test('whatever was observed, an instance is kept for 0 to `idle`, and a warm-up surrounds the expected call', () => {
  const question = fc.record({
    idleMs: fc.integer({ min: 0, max: 24 * HOUR_MS }),
    coldMs: fc.double({ min: 0, max: 30_000, noNaN: true }),
    initMs: fc.double({ min: 0, max: 30_000, noNaN: true }),
    heldMiB: fc.integer({ min: 1, max: 65_536 }),
  });
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { maxLength: 60 }), question, fc.nat(3), (observed, q, fades) => {
      const made = idleTimes(...observed);
      for (let i = 0; i < fades; i++) made.fade();
      const { keepMs, warmUp } = keepAlive({ ...q, idleTimes: made });
      assert.ok(keepMs >= 0 && keepMs <= q.idleMs);
      if (warmUp !== undefined) {
        const { earliestMs, latestMs } = made.period()!;
        assert.ok(warmUp.startMs <= earliestMs && warmUp.untilMs >= latestMs && warmUp.untilMs - warmUp.startMs <= q.idleMs);
      }
    }),
  );
});

test('percentiles cover what was observed, and fading halves the counts', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 1_000, max: 4 * HOUR_MS, noNaN: true }), { minLength: 1, maxLength: 100 }), (observed) => {
      const made = idleTimes(...observed);
      assert.ok(made.percentileMs(1) >= Math.max(...observed) * 0.999);
      assert.ok(made.percentileMs(0.01) <= Math.max(...observed) * 1.251);
      made.fade();
      assert.ok(Math.abs(made.observed - observed.length / 2) < 1e-3);
    }),
  );
});

test('while little is known, a light function is kept as long as its cold start is worth', () => {
  const { keepMs } = keepAlive({ ...light, idleTimes: idleTimes() });
  assert.ok(keepMs > MINUTE_MS && keepMs < 2.1 * MINUTE_MS, String(keepMs));
});

test('a function that is always called again within seconds is let go soon after', () => {
  const { keepMs } = keepAlive({ ...heavy, idleTimes: idleTimes(...times(50, 3_000, 0.5)) });
  assert.ok(keepMs > 4_500 && keepMs < 8_000, String(keepMs));
});

test('the setting `idle` is the most, whatever a cold start costs', () => {
  assert.equal(keepAlive({ ...heavy, coldMs: 30_000, idleTimes: idleTimes() }).keepMs, heavy.idleMs);
  assert.equal(keepAlive({ ...heavy, idleMs: 0, idleTimes: idleTimes() }).keepMs, 0);
});

test('a heavy function that is called every hour is started just before, a light one and an irregular one are not', () => {
  const hourly = idleTimes(...times(6, HOUR_MS, 0.01));
  const { warmUp } = keepAlive({ ...heavy, idleTimes: hourly });
  assert.ok(warmUp !== undefined && warmUp.startMs > 0.97 * HOUR_MS && warmUp.untilMs < 1.04 * HOUR_MS);
  assert.equal(keepAlive({ ...light, idleTimes: hourly }).warmUp, undefined);
  assert.equal(keepAlive({ ...heavy, idleTimes: idleTimes(...times(6, HOUR_MS, 0.4)) }).warmUp, undefined);
  assert.equal(keepAlive({ ...heavy, idleTimes: idleTimes(...times(6, MINUTE_MS)) }).warmUp, undefined);
});

test('a function whose hourly calls are few among others has no period', () => {
  const mixed = idleTimes(...times(30, 10_000), ...times(8, HOUR_MS));
  assert.equal(keepAlive({ ...heavy, idleTimes: mixed }).warmUp, undefined);
});
