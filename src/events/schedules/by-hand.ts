// What people do to schedules: pause, resume, and fire one now. Invariant: what is fired by hand is an event of its own, which moves no plan;
// what passed during a pause is made good as `missed` says. Called by control/.
import { VirgaError } from '../../protocol/errors.ts';
import { newId } from '../../lib/ids.ts';
import { closestWord } from '../../lib/closest-word.ts';
import type { Records, Sql } from '../../store/records/records.ts';
import type { Bus } from '../bus.ts';
import { resumedPlan } from './decision.ts';
import { batchesOf } from './due-event.ts';
import { announceSchedules, findSchedule, lockSchedules, schedulesOf, setPaused, timesOf } from './schedule-table.ts';
import type { ScheduleRow } from './schedule-table.ts';
import { TriggersOf } from './triggers-of.ts';

interface Named {
  project: string;
  name: string;
}

export async function requireSchedule(sql: Sql, { project, name }: Named): Promise<ScheduleRow> {
  return (await findSchedule(sql, project, name)) ?? (await notFound(sql, { project, name }));
}

export function pauseSchedule(records: Records, of: Named): Promise<ScheduleRow> {
  return changed(records, of, (row) => ({ ...row, paused: true }));
}

export function resumeSchedule(records: Records, of: Named, { now, random }: { now: number; random: () => number }): Promise<ScheduleRow> {
  return changed(records, of, (row) => {
    if (!row.paused) return row;
    return { ...row, paused: false, ...resumedPlan(timesOf(row), { rules: row.rules, plan: row, now, random }) };
  });
}

/** One event for each function that the schedule has. */
export async function fireByHand(
  records: Records,
  bus: Pick<Bus, 'send'>,
  { project, name, now }: Named & { now: number },
): Promise<{ dueAt: number; deliveries: { function: string; id: string }[] }> {
  const row = await requireSchedule(records, { project, name });
  const { rows } = await records.query<{ deployment: string | null }>(
    'select current_deployment as deployment from projects where name = $1',
    [project],
  );
  const asked = { project, name, deployment: rows[0]?.deployment ?? null };
  const triggers = (await new TriggersOf().of(records, [asked]))(asked);
  const nextAt = row.paused ? undefined : (row.nextDueAt ?? undefined);
  const time = {
    project,
    schedule: name,
    rules: row.rules,
    dueAt: now,
    nextAt,
    previousAt: row.lastDueAt ?? undefined,
    byHand: newId('run', now),
  };
  const batches = batchesOf(time, triggers);
  if (batches.length > 0) await bus.send(batches);
  return { dueAt: now, deliveries: batches.map(({ messages }, index) => ({ function: triggers[index]!.function, id: messages[0]!.id })) };
}

async function changed(records: Records, of: Named, change: (row: ScheduleRow) => ScheduleRow): Promise<ScheduleRow> {
  return await records.transaction(async (sql) => {
    const [row] = await lockSchedules(sql, of.project, of.name);
    if (row === undefined) return await notFound(sql, of);
    const next = change(row);
    await setPaused(sql, of, next);
    await announceSchedules(sql);
    return next;
  });
}

async function notFound(sql: Sql, { project, name }: Named): Promise<never> {
  const names = (await schedulesOf(sql, project)).map((row) => row.name);
  const meant = closestWord(name, names);
  const remedy =
    meant !== undefined
      ? `did you mean '${meant}'?`
      : names.length === 0
        ? 'it has none; declare them under `schedules` in virga.yaml'
        : `it has ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
  throw new VirgaError('schedule_not_found', `the project '${project}' has no schedule '${name}'; ${remedy}`);
}
