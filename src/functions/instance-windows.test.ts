import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InstanceWindows } from './instance-windows.ts';

const HOUR_MS = 3_600_000;
const at = (text: string): number => Date.parse(text);
const office = new InstanceWindows({
  min: 2,
  max: 20,
  windows: [{ cron: '0 8 * * 1-5', forMs: 10 * HOUR_MS, min: 5, timezone: 'Europe/Madrid' }],
});

test('a window raises the minimum while it is open, in its own time zone, on its own days', () => {
  // A Friday in winter, one hour ahead of UTC.
  assert.equal(office.at(at('2026-01-16T06:30:00Z')).min, 2);
  assert.equal(office.at(at('2026-01-16T07:00:00Z')).min, 5);
  assert.equal(office.at(at('2026-01-16T16:59:59Z')).min, 5);
  assert.equal(office.at(at('2026-01-16T17:00:01Z')).min, 2);
  assert.equal(office.at(at('2026-01-17T12:00:00Z')).min, 2);
});

test('it opens a moment early, so that its instances are ready, and says until when its answer holds', () => {
  const before = office.at(at('2026-01-16T06:00:00Z'));
  assert.deepEqual(before, { min: 2, untilUnixMs: at('2026-01-16T06:59:57Z') });
  assert.deepEqual(office.at(before.untilUnixMs), { min: 5, untilUnixMs: at('2026-01-16T17:00:00Z') });
});

test('daylight saving: a window opens by the wall clock and lasts in real time', () => {
  // Madrid leaves winter time on Sunday 2026-03-29 at 02:00, and returns on 2026-10-25 at 03:00.
  assert.equal(office.at(at('2026-03-27T07:00:00Z')).min, 5);
  assert.equal(office.at(at('2026-03-30T05:59:00Z')).min, 2);
  assert.equal(office.at(at('2026-03-30T06:00:00Z')).min, 5);
  const night = new InstanceWindows({
    min: 0,
    max: 4,
    windows: [{ cron: '0 1 * * *', forMs: 4 * HOUR_MS, min: 1, timezone: 'Europe/Madrid' }],
  });
  // 01:00 to 06:00 on the wall, four hours.
  assert.equal(night.at(at('2026-03-29T00:00:00Z')).untilUnixMs, at('2026-03-29T04:00:00Z'));
  // 01:00 to 04:00 on the wall, four hours as well.
  assert.equal(night.at(at('2026-10-24T23:00:00Z')).untilUnixMs, at('2026-10-25T03:00:00Z'));
  const skipped = new InstanceWindows({
    min: 0,
    max: 4,
    windows: [{ cron: '30 2 * * *', forMs: HOUR_MS, min: 1, timezone: 'Europe/Madrid' }],
  });
  assert.equal(skipped.at(at('2026-03-29T01:05:00Z')).min, 1);
});

test('the largest of the open windows counts, and never more than max', () => {
  const windows = [
    { cron: '0 * * * *', forMs: 2 * HOUR_MS, min: 3, timezone: 'UTC' },
    { cron: '0 12 * * *', forMs: HOUR_MS, min: 9, timezone: 'UTC' },
  ];
  const both = new InstanceWindows({ min: 1, max: 6, windows });
  assert.equal(both.at(at('2026-01-16T11:30:00Z')).min, 3);
  assert.equal(both.at(at('2026-01-16T12:30:00Z')).min, 6);
});

test('the answer holds until it says, wherever one asks', () => {
  const window = fc.record({
    cron: fc.constantFrom('0 8 * * 1-5', '*/20 * * * *', '30 2 * * *', '0 0 1 * *', '0 0 30 2 *'),
    forMs: fc.integer({ min: 60_000, max: 36 * HOUR_MS }),
    min: fc.integer({ min: 0, max: 9 }),
    timezone: fc.constantFrom('UTC', 'Europe/Madrid', 'Australia/Lord_Howe', 'America/New_York'),
  });
  const time = fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2027-01-01T00:00:00Z') });
  fc.assert(
    fc.property(fc.array(window, { maxLength: 3 }), time, fc.double({ min: 0, max: 0.999, noNaN: true }), (windows, now, share) => {
      const all = new InstanceWindows({ min: 1, max: 20, windows });
      const { min, untilUnixMs } = all.at(now);
      assert.ok(untilUnixMs > now);
      assert.equal(all.at(Math.floor(now + share * (untilUnixMs - 1 - now))).min, min);
    }),
  );
});
