// What becomes of a schedule whose time has come: which of its times are fired now, and which is the next. Pure.
// A time counts as missed when it is later than `lateMs` (and its jitter): the node was off, or the schedule was paused. What was only
// late is fired, one after the other. Invariant: every time from `nextDueAt` on is fired, or dropped as `missed` says, or is yet to come.
// Callers: scheduler.ts, deployed.ts, by-hand.ts.
import type { ScheduleTimes } from '../../lib/schedule-times.ts';
import { durationMs } from '../../lib/units.ts';
import type { ScheduleRules } from '../../protocol/sources/schedules.ts';

export interface Decision {
  /** When they were due, in order. */
  fire: number[];
  nextDueAt: number | undefined;
  /** Times that were missed and are not fired; counted up to DROPPED_COUNTED. */
  dropped: number;
}

const CATCH_UP = 100;
/** Further ones are not counted: it would take long. */
export const DROPPED_COUNTED = 100;

export function decide(
  times: ScheduleTimes,
  { rules, nextDueAt, now, lateMs }: { rules: ScheduleRules; nextDueAt: number; now: number; lateMs: number },
): Decision {
  const lateFrom = now - lateMs - jitterMs(rules);
  if (nextDueAt >= lateFrom) return { fire: [nextDueAt], nextDueAt: times.next(nextDueAt), dropped: 0 };
  const dropped = (to: number, fired: number): number => times.latest(DROPPED_COUNTED + fired, { from: nextDueAt, to }).length - fired;
  if (rules.missed === 'once') {
    const last = times.latest(1, { from: nextDueAt, to: now });
    return { fire: last, nextDueAt: times.next(last[0] ?? now), dropped: dropped(now, last.length) };
  }
  const fire = rules.missed === 'all' ? times.latest(rules.catchUp ?? CATCH_UP, { from: nextDueAt, to: lateFrom - 1 }) : [];
  return { fire, nextDueAt: times.next(lateFrom - 1), dropped: dropped(lateFrom - 1, fire.length) };
}

export interface Plan {
  /** null: it is not due any more. */
  nextDueAt: number | null;
  fireAt: number | null;
}

/** Of a paused schedule that goes on. */
export function resumedPlan(
  times: ScheduleTimes,
  { rules, plan, now, random }: { rules: ScheduleRules; plan: Plan; now: number; random: () => number },
): Plan {
  if (plan.nextDueAt === null || plan.nextDueAt > now) return { nextDueAt: plan.nextDueAt, fireAt: plan.fireAt };
  const nextDueAt = resumedAt(times, { rules, nextDueAt: plan.nextDueAt, now });
  if (nextDueAt === undefined) return { nextDueAt: null, fireAt: null };
  return { nextDueAt, fireAt: nextDueAt <= now ? now : fireAtOf(nextDueAt, rules, random) };
}

function resumedAt(
  times: ScheduleTimes,
  { rules, nextDueAt, now }: { rules: ScheduleRules; nextDueAt: number; now: number },
): number | undefined {
  if (rules.missed === 'all') return nextDueAt;
  if (rules.missed === 'once') return times.latest(1, { from: nextDueAt, to: now })[0] ?? times.next(now);
  return times.next(now);
}

/** Drawn once for each time. */
export function fireAtOf(dueAt: number, rules: ScheduleRules, random: () => number): number {
  return dueAt + Math.floor(random() * jitterMs(rules));
}

function jitterMs(rules: ScheduleRules): number {
  return rules.jitter === undefined ? 0 : durationMs(rules.jitter)!;
}
