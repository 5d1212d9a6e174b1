// The example examples/nightly-report, deployed and used as it is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = 'nightly-report';

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', PROJECT)]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

interface Report {
  title: string;
  sales: number;
  cents: number;
  best: string | null;
}

async function sell(item: string, cents: unknown): Promise<number> {
  const body = JSON.stringify({ item, cents });
  return (await virga.fetch(PROJECT, '/sales', { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status;
}

async function reportsAfterRun(schedule: string, count: number): Promise<Report[]> {
  const run = await virga.cli(['schedules', 'run', schedule, '--project', PROJECT, '--json']);
  assert.equal(run.code, 0, run.stderr);
  return await eventually(async () => {
    const reports = (await (await virga.fetch(PROJECT, '/reports')).json()) as Report[];
    return reports.length >= count ? reports : undefined;
  });
}

test('what was sold since the last report is in the next one, and in no other', async () => {
  assert.equal(await sell('coffee', 180), 201);
  assert.equal(await sell('coffee', 180), 201);
  assert.equal(await sell('cake', 350), 201);
  assert.equal(await sell('tea', 'much'), 400);
  const [first] = await reportsAfterRun('nightly', 1);
  assert.deepEqual({ ...first, from: '', to: '' }, { title: 'of the day', from: '', to: '', sales: 3, cents: 710, best: 'coffee' });
  assert.equal(await sell('tea', 200), 201);
  const [, second] = await reportsAfterRun('nightly', 2);
  assert.deepEqual([second!.sales, second!.cents], [1, 200]);
  const [, , quarter] = await reportsAfterRun('quarter', 3);
  assert.deepEqual([quarter!.title, quarter!.sales, quarter!.cents], ['of the quarter', 4, 910]);
});

test('it is due at three by the clock of Madrid, and on the last day of each quarter', async () => {
  const next = async (...args: string[]): Promise<string[]> =>
    (await virga.cli(['schedules', 'next', ...args, '--project', PROJECT, '--json'])).json<{ times: string[] }>().times;
  assert.deepEqual(await next('nightly', '--from', '2026-03-28T12:00:00Z', '--count', '2'), [
    '2026-03-29T01:00:00.000Z',
    '2026-03-30T01:00:00.000Z',
  ]);
  assert.deepEqual(await next('quarter', '--from', '2026-01-01T00:00:00Z', '--count', '2'), [
    '2026-03-31T16:00:00.000Z',
    '2026-06-30T16:00:00.000Z',
  ]);
});
