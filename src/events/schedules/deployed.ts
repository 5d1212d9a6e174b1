// Brings the table of schedules in step with what a deployment says. Invariant: a schedule whose times did not change keeps its plan, and
// whether it is paused unless its rules now say otherwise; one whose times changed is planned anew from now, or from the time that is due
// already, which is fired; no time that it fired comes again. Answers the names of those that it planned and that will never be due. Called inside the transaction that deploys (control/new-state.ts).
import { isDeepStrictEqual } from 'node:util';
import { ScheduleTimes } from '../../lib/schedule-times.ts';
import type { ScheduleRules } from '../../protocol/sources/schedules.ts';
import type { Sql } from '../../store/records/records.ts';
import { fireAtOf, resumedPlan } from './decision.ts';
import { announceSchedules, lockSchedules, timesOf } from './schedule-table.ts';
import type { ScheduleRow } from './schedule-table.ts';

/** A clock that was further ahead than this when it last fired was wrong: what it says was fired is not heeded. */
export const CLOCK_WRONG_MS = 86_400_000;

export async function deploySchedules(
  sql: Sql,
  { project, schedules, now, random }: { project: string; schedules: Record<string, ScheduleRules>; now: number; random: () => number },
): Promise<string[]> {
  const before = new Map((await lockSchedules(sql, project)).map((row) => [row.name, row]));
  const after = Object.entries(schedules).map(([name, rules]) => plannedRow({ project, name, rules, now, random }, before.get(name)));
  const changed = after.filter((row) => !isDeepStrictEqual(row, before.get(row.name)));
  const gone = [...before.keys()].filter((name) => !Object.hasOwn(schedules, name));
  if (changed.length === 0 && gone.length === 0) return [];
  if (gone.length > 0) await sql.query('delete from schedules where project = $1 and name = any($2)', [project, gone]);
  if (changed.length > 0)
    await sql.query(
      `insert into schedules (project, name, rules, anchor_at, next_due_at, fire_at, last_due_at, last_fired_at, missed, paused)
       select $1, * from unnest($2::text[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::boolean[])
       on conflict (project, name) do update set rules = excluded.rules, anchor_at = excluded.anchor_at, next_due_at = excluded.next_due_at,
         fire_at = excluded.fire_at, paused = excluded.paused`,
      [
        project,
        changed.map(({ name }) => name),
        changed.map(({ rules }) => JSON.stringify(rules)),
        changed.map(({ anchorAt }) => anchorAt),
        changed.map(({ nextDueAt }) => nextDueAt),
        changed.map(({ fireAt }) => fireAt),
        changed.map(({ lastDueAt }) => lastDueAt),
        changed.map(({ lastFiredAt }) => lastFiredAt),
        changed.map(({ missed }) => missed),
        changed.map(({ paused }) => paused),
      ],
    );
  await announceSchedules(sql);
  return changed.filter(({ nextDueAt, lastDueAt }) => nextDueAt === null && lastDueAt === null).map(({ name }) => name);
}

function plannedRow(
  { project, name, rules, now, random }: { project: string; name: string; rules: ScheduleRules; now: number; random: () => number },
  before: ScheduleRow | undefined,
): ScheduleRow {
  const asked = rules.paused ?? false;
  const paused = before === undefined || asked !== (before.rules.paused ?? false) ? asked : before.paused;
  if (before !== undefined && hasSameTimes(rules, before.rules)) {
    const row = { ...before, rules, paused };
    if (before.paused && !paused) return { ...row, ...resumedPlan(timesOf(row), { rules, plan: row, now, random }) };
    if (rules.jitter === before.rules.jitter || before.nextDueAt === null) return row;
    return { ...row, fireAt: fireAtOf(before.nextDueAt, rules, random) };
  }
  if (before !== undefined && before.nextDueAt !== null && before.nextDueAt <= now && !before.paused)
    return { ...before, rules, paused, anchorAt: before.nextDueAt };
  const last = before?.lastDueAt ?? null;
  const from = last === null || last > now + CLOCK_WRONG_MS ? now : Math.max(now, last);
  const nextDueAt = new ScheduleTimes(rules, now).next(from) ?? null;
  const fireAt = nextDueAt === null ? null : fireAtOf(nextDueAt, rules, random);
  const kept = { lastDueAt: last, lastFiredAt: before?.lastFiredAt ?? null, missed: before?.missed ?? 0 };
  return { project, name, rules, anchorAt: now, nextDueAt, fireAt, ...kept, paused };
}

function hasSameTimes(one: ScheduleRules, other: ScheduleRules): boolean {
  return (['cron', 'rate', 'at', 'timezone', 'start', 'end'] as const).every((key) => one[key] === other[key]);
}
