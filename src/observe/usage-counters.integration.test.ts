// The table of what was used of usage plans, on a real Postgres: increments add up whoever makes them, in whatever order.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { UsageCounter } from '../protocol/usage.ts';
import { startTestPostgres } from '../store/records/testing.ts';
import type { TestPostgres } from '../store/records/testing.ts';
import { addUsage, deleteUsageBefore, listUsage, loadUsage } from './usage-counters.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

const counter = (subject: string, used: number, extra: Partial<UsageCounter> = {}): UsageCounter => ({
  project: 'p',
  subject,
  period: '2026-11-21',
  plan: 'free',
  used,
  ...extra,
});

test('edges that write the same counters at the same time, each in another order, lose nothing', async () => {
  await using database = await postgres.database();
  const subjects = Array.from({ length: 200 }, (_, i) => `ip:10.0.0.${i}`);
  const rounds = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? subjects : subjects.toReversed()));
  await Promise.all(
    rounds.map((order) =>
      addUsage(
        database.records,
        order.map((subject) => counter(subject, 3)),
      ),
    ),
  );
  const [last] = await addUsage(database.records, [counter('ip:10.0.0.7', 1, { plan: 'pro' })]);
  assert.deepEqual(last, counter('ip:10.0.0.7', 61, { plan: 'pro' }));
  const all = await loadUsage(database.records, ['2026-11-21', '2026-11'], 1_000);
  assert.equal(all.length, 200);
  assert.equal(
    all.reduce((sum, { used }) => sum + used, 0),
    200 * 60 + 1,
  );
});

test('what is loaded is of the periods that are, those with most first; what is listed comes in pages', async () => {
  await using database = await postgres.database();
  const { records } = database;
  await addUsage(records, [
    counter('key:a', 5),
    counter('key:a', 50, { period: '2026-11', plan: 'pro' }),
    counter('key:b', 7),
    counter('jwt:a', 9_000_000_000),
    counter('key:a', 99, { period: '2026-11-20' }),
    counter('key:a', 1, { project: 'q' }),
  ]);
  const periods = ['2026-11-21', '2026-11'];
  assert.deepEqual(
    (await loadUsage(records, periods, 3)).map(({ subject, used }) => [subject, used]),
    [
      ['jwt:a', 9_000_000_000],
      ['key:a', 50],
      ['key:b', 7],
    ],
  );
  const list = async (filter: Partial<Parameters<typeof listUsage>[1]> = {}) =>
    (await listUsage(records, { project: 'p', periods, limit: 100, ...filter })).map(({ subject, period }) => `${subject} ${period}`);
  const all = ['jwt:a 2026-11-21', 'key:a 2026-11', 'key:a 2026-11-21', 'key:b 2026-11-21'];
  assert.deepEqual(await list(), all);
  assert.deepEqual(await list({ limit: 2 }), all.slice(0, 2));
  assert.deepEqual(await list({ after: { subject: 'key:a', period: '2026-11' } }), all.slice(2));
  assert.deepEqual(await list({ key: 'a' }), all.slice(1, 3));
  assert.deepEqual(await list({ key: 'jwt:a' }), all.slice(0, 1));
  assert.deepEqual(await list({ plan: 'pro' }), all.slice(1, 2));
  assert.deepEqual(await list({ project: 'nobody' }), []);
});

test('what nothing was added to for long goes', async () => {
  await using database = await postgres.database();
  await addUsage(database.records, [counter('key:a', 1), counter('key:b', 1)]);
  await database.records.query(`update usage_counters set updated_at = to_timestamp(1000) where subject = 'key:a'`);
  assert.equal(await deleteUsageBefore(database.records, 2_000_000, 100), 1);
  assert.deepEqual(
    (await loadUsage(database.records, ['2026-11-21'], 10)).map(({ subject }) => subject),
    ['key:b'],
  );
});
