// The table of schedules: what is due, what was fired, who is paused. Invariant: whoever moves a row has locked it in the same
// transaction, and a row that another has locked is left to it. Callers: scheduler.ts, deployed.ts, by-hand.ts, control/.
import { ScheduleTimes } from '../../lib/schedule-times.ts';
import type { ScheduleRules } from '../../protocol/sources/schedules.ts';
import type { Sql } from '../../store/records/records.ts';

export interface ScheduleRow {
  project: string;
  name: string;
  rules: ScheduleRules;
  anchorAt: number;
  nextDueAt: number | null;
  fireAt: number | null;
  lastDueAt: number | null;
  lastFiredAt: number | null;
  missed: number;
  paused: boolean;
}

/** One that is due, with the deployment that says whom it is for. */
export interface DueRow extends ScheduleRow {
  nextDueAt: number;
  fireAt: number;
  deployment: string | null;
}

/** Whoever waits for the next one to be due listens to it. */
export const SCHEDULES_CHANNEL = 'virga_schedules';

const COLUMNS = `s.project, s.name, s.rules, s.anchor_at::float8 as "anchorAt", s.next_due_at::float8 as "nextDueAt", s.fire_at::float8 as "fireAt",
  s.last_due_at::float8 as "lastDueAt", s.last_fired_at::float8 as "lastFiredAt", s.missed::float8 as missed, s.paused`;

export async function schedulesOf(sql: Sql, project: string): Promise<ScheduleRow[]> {
  return (await sql.query<ScheduleRow>(`select ${COLUMNS} from schedules s where s.project = $1 order by s.name`, [project])).rows;
}

export async function findSchedule(sql: Sql, project: string, name: string): Promise<ScheduleRow | undefined> {
  return (await sql.query<ScheduleRow>(`select ${COLUMNS} from schedules s where s.project = $1 and s.name = $2`, [project, name])).rows[0];
}

/** Inside a transaction: it is the caller's until its end. */
export async function lockSchedules(sql: Sql, project: string, name?: string): Promise<ScheduleRow[]> {
  const { rows } = await sql.query<ScheduleRow>(
    `select ${COLUMNS} from schedules s where s.project = $1 and ($2::text is null or s.name = $2) order by s.name for update`,
    [project, name ?? null],
  );
  return rows;
}

/** Inside a transaction. `only`: no other than this one. */
export async function takeDue(
  sql: Sql,
  { now, limit, only }: { now: number; limit: number; only?: Pick<ScheduleRow, 'project' | 'name'> | undefined },
): Promise<DueRow[]> {
  const { rows } = await sql.query<DueRow>(
    `select ${COLUMNS}, p.current_deployment as deployment from schedules s join projects p on p.name = s.project
      where not s.paused and s.fire_at <= $1 and ($3::text is null or (s.project = $3 and s.name = $4))
      order by s.fire_at limit $2 for update of s skip locked`,
    [now, limit, only?.project ?? null, only?.name ?? null],
  );
  return rows;
}

/** Those that were fired, or deployed, later than this; inside a transaction. */
export async function lockPlannedAfter(sql: Sql, unixMs: number): Promise<ScheduleRow[]> {
  const { rows } = await sql.query<ScheduleRow>(
    `select ${COLUMNS} from schedules s where s.last_fired_at > $1 or s.anchor_at > $1 order by s.project, s.name for update`,
    [unixMs],
  );
  return rows;
}

/** When the next is to be fired; those that others hold count too. */
export async function nextFireAt(sql: Sql): Promise<number | undefined> {
  const { rows } = await sql.query<{ at: number | null }>(
    'select min(fire_at)::float8 as at from schedules where not paused and fire_at is not null',
  );
  return rows[0]?.at ?? undefined;
}

export type Moved = Pick<ScheduleRow, 'project' | 'name' | 'anchorAt' | 'nextDueAt' | 'fireAt' | 'lastDueAt' | 'lastFiredAt' | 'missed'>;

export async function moveSchedules(sql: Sql, moved: Moved[]): Promise<void> {
  await sql.query(
    `update schedules s set anchor_at = m.anchor_at, next_due_at = m.next_due_at, fire_at = m.fire_at, last_due_at = m.last_due_at,
            last_fired_at = m.last_fired_at, missed = m.missed
       from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
         as m (project, name, anchor_at, next_due_at, fire_at, last_due_at, last_fired_at, missed)
      where s.project = m.project and s.name = m.name`,
    [
      moved.map(({ project }) => project),
      moved.map(({ name }) => name),
      moved.map(({ anchorAt }) => anchorAt),
      moved.map(({ nextDueAt }) => nextDueAt),
      moved.map(({ fireAt }) => fireAt),
      moved.map(({ lastDueAt }) => lastDueAt),
      moved.map(({ lastFiredAt }) => lastFiredAt),
      moved.map(({ missed }) => missed),
    ],
  );
}

/** Of one that goes on after a pause, or is paused; inside a transaction that has locked it. */
export async function setPaused(
  sql: Sql,
  { project, name }: Pick<ScheduleRow, 'project' | 'name'>,
  to: Pick<ScheduleRow, 'paused' | 'nextDueAt' | 'fireAt'>,
): Promise<void> {
  await sql.query('update schedules set paused = $3, next_due_at = $4, fire_at = $5 where project = $1 and name = $2', [
    project,
    name,
    to.paused,
    to.nextDueAt,
    to.fireAt,
  ]);
}

/** In the transaction that changed something. */
export async function announceSchedules(sql: Sql): Promise<void> {
  await sql.query('select pg_notify($1, $2)', [SCHEDULES_CHANNEL, '']);
}

export function timesOf({ rules, anchorAt }: Pick<ScheduleRow, 'rules' | 'anchorAt'>): ScheduleTimes {
  return new ScheduleTimes(rules, anchorAt);
}
