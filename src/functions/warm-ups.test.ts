import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Habits } from './habits.ts';
import { testVersion } from './testing.ts';
import { WarmUps } from './warm-ups.ts';

const HOUR_MS = 3_600_000;

function setUp(initMs: number) {
  let now = 0;
  let timers: { at: number; callback: () => void }[] = [];
  const started: { at: number; until: number }[] = [];
  const warmUps = new WarmUps((_version, until) => started.push({ at: now, until }), {
    now: () => now,
    after: (ms, callback) => {
      const timer = { at: now + ms, callback };
      timers.push(timer);
      return () => void (timers = timers.filter((one) => one !== timer));
    },
  });
  const habits = new Habits(2);
  for (let i = 0; i < 20; i++) habits.started(initMs + 10, initMs);
  habits.held(50);
  const advance = (to: number): void => {
    for (const { at, callback } of timers.filter((one) => one.at <= to).toSorted((a, b) => a.at - b.at)) {
      now = at;
      timers = timers.filter((one) => one.callback !== callback);
      callback();
    }
    now = to;
  };
  /** Calls at these times, each of which ends at once. */
  const called = (...times: number[]): void => {
    for (const at of times) {
      advance(at);
      habits.wokeUp(at);
      habits.quietSince = at;
      warmUps.plan(testVersion({ idleMs: 300_000 }), habits);
    }
  };
  return { warmUps, habits, started, called, advance, planned: () => timers.length };
}
const hours = (...counts: number[]): number[] => counts.map((count) => count * HOUR_MS);

test('a heavy function that was called every hour is started just before the next call, and kept until just after', () => {
  const { started, called, advance } = setUp(400);
  called(...hours(1, 2, 3, 4, 5, 6));
  const before = started.length;
  advance(7 * HOUR_MS);
  assert.equal(started.length, before + 1);
  const { at, until } = started.at(-1)!;
  assert.ok(at > 6.95 * HOUR_MS && at < 7 * HOUR_MS && until > 7 * HOUR_MS && until < 7.05 * HOUR_MS);
});

test('a light function is not, and one whose call did not come is not started a second time for it', () => {
  const light = setUp(5);
  light.called(...hours(1, 2, 3, 4, 5, 6));
  light.advance(8 * HOUR_MS);
  assert.equal(light.started.length, 0);
  const missed = setUp(400);
  missed.called(...hours(1, 2, 3, 4, 5, 6));
  const before = missed.started.length;
  missed.advance(7.1 * HOUR_MS);
  missed.warmUps.plan(testVersion({ idleMs: 300_000 }), missed.habits);
  missed.advance(9 * HOUR_MS);
  assert.equal(missed.started.length, before + 1);
});

test('what is planned is cancelled with its function and with the engine', () => {
  const { warmUps, habits, called, planned } = setUp(400);
  called(...hours(1, 2, 3, 4, 5, 6));
  assert.equal(planned(), 1);
  warmUps.cancel(habits);
  assert.equal(planned(), 0);
  called(...hours(7));
  assert.equal(planned(), 1);
  warmUps.close();
  assert.equal(planned(), 0);
});
