// The counters of usage plans: increments that add up over edges, survive failures of the database, and stay bounded.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UsageCounter } from '../../protocol/usage.ts';
import { Quotas } from './quotas.ts';
import type { UsageStore } from './quotas.ts';

/** The table, as one statement does it. */
class Table implements UsageStore {
  readonly used = new Map<string, number>();
  failing = false;
  /** Resolves, if set, before an increment is answered. */
  gate: Promise<void> | undefined;

  async load(periods: string[], countersMax: number): Promise<UsageCounter[]> {
    return [...this.used]
      .map(([key, used]) => {
        const [project, period, subject] = key.split(' ') as [string, string, string];
        return { project, period, subject, plan: 'free', used };
      })
      .filter(({ period }) => periods.includes(period))
      .slice(0, countersMax);
  }

  async add(counters: UsageCounter[]): Promise<UsageCounter[]> {
    await this.gate;
    if (this.failing) throw new Error('Postgres is away');
    const keys = new Set(counters.map((one) => `${one.project} ${one.period} ${one.subject}`));
    assert.equal(keys.size, counters.length, 'one row twice in a statement is refused');
    return counters.map((one) => {
      const key = `${one.project} ${one.period} ${one.subject}`;
      const used = (this.used.get(key) ?? 0) + one.used;
      this.used.set(key, used);
      return { ...one, used };
    });
  }
}

const NOON = Date.UTC(2026, 10, 30, 12);

function edge(table: Table, options: { countersMax?: number; nowMs?: () => number } = {}) {
  const warnings: string[] = [];
  const quotas = new Quotas({
    store: table,
    countersMax: options.countersMax ?? 100,
    log: (_level, message) => warnings.push(message),
    nowMs: options.nowMs ?? (() => NOON),
    writeEveryMs: 3_600_000,
  });
  const spend = (subject: string, times = 1): void => {
    for (let i = 0; i < times; i++) quotas.spend('p', subject, { period: quotas.period('day'), plan: 'free' });
  };
  return { quotas, warnings, spend, used: (subject: string) => quotas.used('p', subject, quotas.period('day')) };
}

test('what several edges count adds up, and each learns of the others with its next write', async () => {
  const table = new Table();
  const [one, two] = [edge(table), edge(table)];
  one.spend('key:a', 3);
  two.spend('key:a', 4);
  assert.deepEqual([one.used('key:a'), two.used('key:a')], [3, 4]);
  await one.quotas.write();
  await two.quotas.write();
  assert.deepEqual([one.used('key:a'), two.used('key:a')], [3, 7]);
  one.spend('key:a');
  await one.quotas.write();
  assert.equal(one.used('key:a'), 8);
  const next = edge(table);
  await next.quotas.load();
  assert.equal(next.used('key:a'), 8);
  for (const { quotas } of [one, two, next]) await quotas.close(1_000);
});

test('what is counted while a write is under way is neither lost nor counted twice', async () => {
  const table = new Table();
  const { quotas, spend, used } = edge(table);
  const gate = Promise.withResolvers<void>();
  table.gate = gate.promise;
  spend('key:a', 5);
  const written = quotas.write();
  await Promise.resolve();
  spend('key:a', 2);
  assert.equal(used('key:a'), 7);
  gate.resolve();
  await written;
  assert.equal(used('key:a'), 7);
  await quotas.close(1_000);
  assert.equal(table.used.get('p 2026-11-30 key:a'), 7);
});

test('a write that fails is made up for by the next, and said once', async () => {
  const table = new Table();
  const { quotas, spend, used, warnings } = edge(table, { countersMax: 3 });
  table.failing = true;
  spend('key:a', 5);
  await quotas.write();
  spend('key:a', 1);
  for (let i = 0; i < 3; i++) spend(`key:${i}`);
  await quotas.write();
  assert.equal(warnings.length, 1);
  table.failing = false;
  await quotas.write();
  assert.equal(table.used.get('p 2026-11-30 key:a'), 6);
  spend('key:a');
  await quotas.close(1_000);
  assert.equal(used('key:a'), 7);
});

test('no more counters than the bound, also while nothing can be written', async () => {
  const table = new Table();
  const { quotas, spend } = edge(table, { countersMax: 50 });
  table.failing = true;
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 500; i++) spend(`ip:${round}.${i}`);
    await quotas.write();
  }
  table.failing = false;
  await quotas.close(1_000);
  assert.ok(table.used.size <= 101, String(table.used.size));
});

test('days and months end at midnight UTC, also the last of a month', () => {
  let nowMs = NOON;
  const { quotas, spend, used } = edge(new Table(), { nowMs: () => nowMs });
  const month = quotas.period('month');
  spend('key:a', 2);
  quotas.spend('p', 'key:a', { period: month, plan: 'pro' });
  assert.deepEqual([quotas.restMs(quotas.period('day')), quotas.restMs(month)], [12 * 3_600_000, 12 * 3_600_000]);
  nowMs += 12 * 3_600_000 - 1;
  assert.equal(used('key:a'), 2);
  nowMs += 1;
  assert.deepEqual([used('key:a'), quotas.used('p', 'key:a', quotas.period('month'))], [0, 0]);
  assert.equal(quotas.period('month').key, '2026-12');
  assert.equal(quotas.restMs(quotas.period('month')), 31 * 86_400_000);
});
