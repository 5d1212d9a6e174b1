import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cronProblem, CronTimes } from './cron.ts';

function times(expression: string, timezone: string, after: string, count: number): string[] {
  const cron = new CronTimes(expression, timezone);
  const found: string[] = [];
  let at: number | undefined = Date.parse(after);
  while (found.length < count && (at = cron.next(at)) !== undefined) found.push(new Date(at).toISOString().replace(':00.000Z', 'Z'));
  return found;
}

test('five fields begin with the minute, six with the second', () => {
  assert.deepEqual(times('*/20 9 * * *', 'UTC', '2026-01-01T09:20:00Z', 2), ['2026-01-01T09:40Z', '2026-01-02T09:00Z']);
  assert.deepEqual(times('*/20 0 9 * * *', 'UTC', '2026-01-01T09:00:20Z', 2), ['2026-01-01T09:00:40.000Z', '2026-01-02T09:00Z']);
});

test('L, W and # mean the last, the nearest weekday, and the nth', () => {
  assert.deepEqual(times('0 0 L * *', 'UTC', '2028-02-01T00:00:00Z', 2), ['2028-02-29T00:00Z', '2028-03-31T00:00Z']);
  // The 15th of August 2026 is a Saturday.
  assert.deepEqual(times('0 0 15W * *', 'UTC', '2026-08-01T00:00:00Z', 1), ['2026-08-14T00:00Z']);
  assert.deepEqual(times('0 0 * * MON#2', 'UTC', '2026-06-01T00:00:00Z', 2), ['2026-06-08T00:00Z', '2026-07-13T00:00Z']);
  assert.deepEqual(times('0 0 * * FRIL', 'UTC', '2026-06-01T00:00:00Z', 1), ['2026-06-26T00:00Z']);
});

test('a time that the clock skips happens once, at the next one that there is', () => {
  // Madrid goes from 02:00 to 03:00.
  assert.deepEqual(times('30 2 * * *', 'Europe/Madrid', '2026-03-28T12:00:00Z', 2), ['2026-03-29T01:00Z', '2026-03-30T00:30Z']);
  assert.deepEqual(times('*/15 2 * * *', 'Europe/Madrid', '2026-03-28T12:00:00Z', 2), ['2026-03-29T01:00Z', '2026-03-30T00:00Z']);
  assert.deepEqual(times('0 2,3 * * *', 'Europe/Madrid', '2026-03-28T12:00:00Z', 2), ['2026-03-29T01:00Z', '2026-03-30T00:00Z']);
  // Samoa left out the 30th of December 2011.
  assert.deepEqual(times('0 12 30 12 *', 'Pacific/Apia', '2011-01-01T00:00:00Z', 2), ['2011-12-30T10:00Z', '2012-12-29T22:00Z']);
});

test('a time that the clock repeats happens once, the first time', () => {
  // Madrid goes from 03:00 back to 02:00.
  assert.deepEqual(times('30 2 * * *', 'Europe/Madrid', '2026-10-24T12:00:00Z', 2), ['2026-10-25T00:30Z', '2026-10-26T01:30Z']);
  assert.deepEqual(times('0,30 2 * * *', 'Europe/Madrid', '2026-10-24T12:00:00Z', 3), [
    '2026-10-25T00:00Z',
    '2026-10-25T00:30Z',
    '2026-10-26T01:00Z',
  ]);
  assert.deepEqual(times('0 */2 * * *', 'Europe/Madrid', '2026-10-24T22:00:00Z', 2), ['2026-10-25T00:00Z', '2026-10-25T03:00Z']);
  // Asked in the midst of what is repeated.
  assert.deepEqual(times('30 2 * * *', 'Europe/Madrid', '2026-10-25T01:10:00Z', 1), ['2026-10-26T01:30Z']);
});

test('an expression of every hour runs through what is repeated, and through what is skipped', () => {
  assert.deepEqual(times('30 * * * *', 'Europe/Madrid', '2026-10-24T23:45:00Z', 3), [
    '2026-10-25T00:30Z',
    '2026-10-25T01:30Z',
    '2026-10-25T02:30Z',
  ]);
  assert.deepEqual(times('30 * * * *', 'Europe/Madrid', '2026-03-29T00:00:00Z', 2), ['2026-03-29T00:30Z', '2026-03-29T01:30Z']);
  for (const hours of ['0-23', '*/1', '0-11,12-23'])
    assert.deepEqual(times(`30 ${hours} * * *`, 'Europe/Madrid', '2026-10-25T00:45:00Z', 1), ['2026-10-25T01:30Z'], hours);
  // São Paulo went from midnight back to 23:00: the same day, which is the only one that is meant.
  assert.deepEqual(times('30 * 16 2 *', 'America/Sao_Paulo', '2019-02-17T01:00:00Z', 3), [
    '2019-02-17T01:30Z',
    '2019-02-17T02:30Z',
    '2020-02-16T03:30Z',
  ]);
});

test('an expression that never comes true, a nickname, and the wrong number of fields are refused with what to write instead', () => {
  assert.equal(cronProblem('0 0 30 2 *'), 'a time that exists');
  assert.equal(cronProblem('@Daily', { seconds: true }), 'the fields themselves: "0 0 * * *"');
  assert.equal(cronProblem('0 0 9 * * *'), 'five fields: minute, hour, day of month, month, day of week');
  assert.match(cronProblem('0 0 9 * * * 2027', { seconds: true }) ?? '', /or six, with the second first/);
  assert.match(cronProblem('2026-12-24T18:00:00', { seconds: true }) ?? '', /five fields/);
  assert.match(cronProblem('0 25 * * *') ?? '', /hour.*25/);
  assert.match(cronProblem('5/10 * * * *') ?? '', /5\/10/);
  assert.equal(cronProblem('0 0 9 * * 1-5', { seconds: true }), undefined);
});

test('what AWS writes is refused with what to write here: its six fields end with the year, and would mean every hour', () => {
  for (const [expression, expected] of [
    ['0 3 * * ? *', /a "\?" for a day alone.*no year/],
    ['0 3 ? * 2-6 *', /a "\?" for a day alone/],
    ['cron(0 3 * * ? *)', /first five fields/],
    ['rate(5 minutes)', /`rate: 5m`/],
    ['at(2026-12-24T18:00:00)', /`at: /],
    ['@every 5m', /`rate: 5m`/],
    ['0 0 9 * * * 2027', /`start` and `end`/],
  ] as const)
    assert.match(cronProblem(expression, { seconds: true }) ?? '', expected, expression);
  for (const [expression, first] of [
    ['0 0 ? * MON', '2026-01-05T00:00Z'],
    ['0 0 1 * ?', '2026-02-01T00:00Z'],
    ['0 15 10 ? * MON-FRI', '2026-01-01T10:15Z'],
  ] as const) {
    assert.equal(cronProblem(expression, { seconds: true }), undefined);
    assert.deepEqual(times(expression, 'UTC', '2026-01-01T00:00:00Z', 1), [first]);
  }
});
