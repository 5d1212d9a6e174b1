import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScheduleTimes } from './schedule-times.ts';

const at = (text: string): number => Date.parse(text);
const iso = (unixMs: number | undefined): string | undefined =>
  unixMs === undefined ? undefined : new Date(unixMs).toISOString().replace('.000Z', 'Z');

test('a rate counts from its anchor, or from its start', () => {
  const anchored = new ScheduleTimes({ rate: '5m' }, at('2026-01-01T00:01:30Z'));
  assert.equal(iso(anchored.next(at('2026-01-01T00:01:30Z'))), '2026-01-01T00:06:30Z');
  assert.equal(iso(anchored.next(at('2026-01-01T00:06:29.999Z'))), '2026-01-01T00:06:30Z');
  assert.equal(iso(anchored.next(at('2026-01-01T00:06:30Z'))), '2026-01-01T00:11:30Z');
  const started = new ScheduleTimes({ rate: '7h', start: '2026-01-02T03:00:00+02:00' }, at('2026-01-01T00:01:30Z'));
  assert.equal(iso(started.next(at('2026-01-01T00:00:00Z'))), '2026-01-02T01:00:00Z');
  assert.equal(iso(started.next(at('2026-01-02T01:00:00Z'))), '2026-01-02T08:00:00Z');
});

test('start and end bound it, both included', () => {
  const times = new ScheduleTimes({ cron: '0 * * * *', start: '2026-01-01T10:00:00Z', end: '2026-01-01T12:00:00Z' }, 0);
  assert.deepEqual(times.latest(9, { from: 0, to: at('2026-01-03T00:00:00Z') }).map(iso), [
    '2026-01-01T10:00:00Z',
    '2026-01-01T11:00:00Z',
    '2026-01-01T12:00:00Z',
  ]);
  assert.equal(times.next(at('2026-01-01T12:00:00Z')), undefined);
});

test('one time is due once', () => {
  const times = new ScheduleTimes({ at: '2026-12-24T18:00:00+01:00' }, 0);
  assert.equal(iso(times.next(0)), '2026-12-24T17:00:00Z');
  assert.equal(times.next(at('2026-12-24T17:00:00Z')), undefined);
});

test('the latest times of a long while are found without going through all of them', () => {
  const everySecond = new ScheduleTimes({ cron: '* * * * * *', timezone: 'Europe/Madrid' }, 0);
  const to = at('2026-06-01T12:00:00.500Z');
  const startedMs = performance.now();
  const found = everySecond.latest(100, { from: at('2016-01-01T00:00:00Z'), to });
  assert.ok(performance.now() - startedMs < 1_000);
  assert.equal(found.length, 100);
  assert.equal(iso(found.at(-1)), '2026-06-01T12:00:00Z');
  assert.equal(found.at(-1)! - found[0]!, 99_000);
  const yearly = new ScheduleTimes({ cron: '0 0 1 1 *' }, 0);
  assert.deepEqual(yearly.latest(2, { from: at('2020-06-01T00:00:00Z'), to }).map(iso), ['2025-01-01T00:00:00Z', '2026-01-01T00:00:00Z']);
  assert.deepEqual(yearly.latest(9, { from: to, to }), []);
});
