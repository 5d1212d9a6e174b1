// What is due of upkeep of runs: wake-ups that got lost are sent again, and runs that ended long ago go. Invariant: a run that is due is woken
// up at the latest a minute or two late, whatever became of its message; where messages still wait in the queue of its function, it only
// has to wait its turn. Called every half minute by the control role.
import type { Records } from '../../store/records/records.ts';
import type { Bus } from '../bus.ts';
import { workflowQueue } from '../topology.ts';
import type { Starter } from './start-run.ts';

export interface RunUpkeepNeeds {
  records: Records;
  bus: Pick<Bus, 'stats'>;
  starter: Pick<Starter, 'wakeAll'>;
  now: () => number;
}

const LATE_MS = 60_000;
const WOKEN_AT_ONCE = 1_000;
const REMOVED_AT_ONCE = 500;
const BATCHES_MAX = 100;

interface LateRun {
  run: string;
  project: string;
  function: string;
  id: string;
}

export async function upkeepOfRuns(needs: RunUpkeepNeeds, signal: AbortSignal): Promise<{ woken: number; removed: number }> {
  const woken = await wakeLate(needs);
  let removed = 0;
  for (let batch = 0; batch < BATCHES_MAX && !signal.aborted; batch++) {
    const { rowCount } = await needs.records.query(
      `delete from workflow_runs where run in (
         select run from workflow_runs where ended_at is not null and keep_until < to_timestamp($1::float8 / 1000) limit ${REMOVED_AT_ONCE})`,
      [needs.now()],
    );
    removed += rowCount ?? 0;
    if ((rowCount ?? 0) < REMOVED_AT_ONCE) break;
  }
  return { woken, removed };
}

/** A few of each workflow that has some, so that one whose queue is full of them hides no other. */
const LATE = `
select l.run::text, l.project, l.function, l.id
  from (select distinct project, function from workflow_runs where ended_at is null and holder is null and wake_at < to_timestamp($1::float8 / 1000)) f
 cross join lateral (
       select run, project, function, id from workflow_runs r
        where r.project = f.project and r.function = f.function and ended_at is null and holder is null and wake_at < to_timestamp($1::float8 / 1000)
        order by wake_at limit ${WOKEN_AT_ONCE}) l
union
select run::text, project, function, id from workflow_runs where holder is not null and ended_at is null and held_until < to_timestamp($2::float8 / 1000)
union
select r.run::text, r.project, r.function, r.id from workflow_events e join workflow_runs r on r.run = e.run
 where e.ordinal is null and e.at < to_timestamp($1::float8 / 1000) and e.at > r.updated_at and r.state = 'waiting'`;

async function wakeLate({ records, bus, starter, now }: RunUpkeepNeeds): Promise<number> {
  const { rows } = await records.query<LateRun>(LATE, [now() - LATE_MS, now()]);
  let woken = 0;
  for (const [, late] of Map.groupBy(rows, ({ project, function: fn }) => workflowQueue(project, fn).key)) {
    const { project, function: fn } = late[0]!;
    const [stats] = await bus.stats([workflowQueue(project, fn).key]);
    if (stats !== undefined && stats.pending > 0) continue;
    await starter.wakeAll(late);
    woken += late.length;
    // They are not late again before another minute has passed.
    await records.query(
      'update workflow_runs set wake_at = to_timestamp($2::float8 / 1000) where run = any($1) and ended_at is null and holder is null',
      [late.map(({ run }) => run), now()],
    );
  }
  return woken;
}
