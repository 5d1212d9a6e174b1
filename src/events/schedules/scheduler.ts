// Fires schedules: sleeps until the next is due, sends its event to the queue of each of its triggers, and moves it on to its next time.
//
//   sleep ─▶ lock what is due ─▶ decide which times ─▶ bus.send ─▶ move the rows, commit ─▶ sleep
//
// Invariants: a time is fired by one node (the row's lock) and once: killed between the send and the commit, it is sent again, with ids
// that the bus knows as duplicates. A row only moves on, so a clock that goes back fires nothing twice. Nothing is lost but what
// `missed` says: while the database is away or a queue is full, a schedule waits at its time. Run by the control role.
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { ScheduleTimes } from '../../lib/schedule-times.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { Records, Sql } from '../../store/records/records.ts';
import type { Bus } from '../bus.ts';
import { decide, fireAtOf } from './decision.ts';
import { CLOCK_WRONG_MS } from './deployed.ts';
import type { Decision } from './decision.ts';
import { batchesOf, mergedByQueue } from './due-event.ts';
import { lockPlannedAfter, moveSchedules, nextFireAt, takeDue, timesOf } from './schedule-table.ts';
import type { DueRow, Moved, ScheduleRow } from './schedule-table.ts';
import { TriggersOf } from './triggers-of.ts';

export interface SchedulerOptions {
  records: Records;
  bus: Pick<Bus, 'send'>;
  /** How late a time may be and still be none that was missed, ms. */
  lateMs: number;
  log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
  /** Unix ms. */
  now: () => number;
  random: () => number;
}

export interface Round {
  /** Schedules that were brought forward. */
  moved: number;
  /** When the next round is due, Unix ms; in the past: at once, or another node is at it. undefined: no schedule has a next time. */
  nextAt: number | undefined;
}

const AT_ONCE = 100;
const TIMES_KEPT = 1_000;
/** A schedule whose queue takes nothing. */
const RETRY_MS = 10_000;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #triggers = new TriggersOf();
  readonly #times = new BoundedMap<string, ScheduleTimes>(TIMES_KEPT);
  /** Of the last round; before the first, any clock may have been wrong. */
  #latest = Infinity;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Fires what is due. Rejects when the database or the bus cannot: then nothing was moved on that was not sent. */
  async round(): Promise<Round> {
    const { records, now } = this.#options;
    if (now() < this.#latest - CLOCK_WRONG_MS) await records.transaction((sql) => this.#planAnew(sql));
    this.#latest = now();
    const moved = await records.transaction((sql) => this.#fire(sql));
    return { moved, nextAt: await nextFireAt(records) };
  }

  async #fire(sql: Sql): Promise<number> {
    const { bus, lateMs, now, random } = this.#options;
    const rows = await takeDue(sql, { now: now(), limit: AT_ONCE });
    if (rows.length === 0) return 0;
    const triggers = await this.#triggers.of(sql, rows);
    const moved: Moved[] = [];
    const decided = rows.flatMap((row) => {
      try {
        const times = this.#timesOf(row);
        const decision = decide(times, { rules: row.rules, nextDueAt: row.nextDueAt, now: now(), lateMs });
        const batches = decision.fire.flatMap((dueAt, index) => {
          const previousAt = index === 0 ? (row.lastDueAt ?? undefined) : decision.fire[index - 1];
          const time = { project: row.project, schedule: row.name, rules: row.rules, dueAt, previousAt, nextAt: times.next(dueAt) };
          return batchesOf(time, triggers(row));
        });
        return [{ row, decision, batches: mergedByQueue(batches) }];
      } catch (error) {
        moved.push(this.#unplannable(row, error));
        return [];
      }
    });
    // Each is a call of its own, so that one whose queue is full holds up no other; the bus commits them together.
    const sent = await Promise.allSettled(decided.map(async ({ batches }) => (batches.length === 0 ? [] : await bus.send(batches))));
    let down: unknown;
    for (const [index, { row, decision }] of decided.entries()) {
      const outcome = sent[index]!;
      if (outcome.status === 'fulfilled') moved.push(movedOn(row, decision, { now: now(), random }));
      else if (isRefusal(outcome.reason)) moved.push(this.#postponed(row, outcome.reason));
      else down = outcome.reason;
      if (outcome.status === 'fulfilled' && decision.dropped > 0) this.#tellDropped(row, decision);
    }
    if (moved.length > 0) await moveSchedules(sql, moved);
    // What was sent and is not moved on for this is known to the bus when it is sent again.
    if (down !== undefined) throw down;
    return moved.length;
  }

  /** The clock was wrong by more than a day when these were fired or deployed, or is now: without this they would be silent until it is there again. */
  async #planAnew(sql: Sql): Promise<void> {
    const { log, now, random } = this.#options;
    const rows = await lockPlannedAfter(sql, now() + CLOCK_WRONG_MS);
    if (rows.length === 0) return;
    log('warn', 'schedules were fired or deployed at times that the clock says are yet to come; they are planned anew', {
      schedules: rows.length,
    });
    await moveSchedules(
      sql,
      rows.map((row) => {
        const anew = { ...row, anchorAt: Math.min(row.anchorAt, now()), lastDueAt: null, lastFiredAt: null };
        try {
          return movedOn(anew, { fire: [], nextDueAt: timesOf(anew).next(now()), dropped: 0 }, { now: now(), random });
        } catch (error) {
          return this.#unplannable(anew, error);
        }
      }),
    );
  }

  /** Reading an expression takes longer than asking it. */
  #timesOf(row: ScheduleRow): ScheduleTimes {
    const key = `${row.anchorAt} ${JSON.stringify(row.rules)}`;
    let times = this.#times.get(key);
    if (times === undefined) this.#times.set(key, (times = timesOf(row)));
    return times;
  }

  #postponed(row: DueRow, reason: VirgaError): Moved {
    const { log, now } = this.#options;
    log('warn', 'a schedule could not be fired and is tried again', {
      project: row.project,
      schedule: row.name,
      code: reason.code,
      reason: reason.message,
    });
    return { ...row, fireAt: now() + RETRY_MS };
  }

  /** Its expression or its zone was taken once, by another version of what reads them. */
  #unplannable<Row extends ScheduleRow>(row: Row, error: unknown): Row {
    const { log, now } = this.#options;
    const { project, name: schedule } = row;
    log('error', 'the times of a schedule cannot be told any more, so it is not fired; deploy it with others', {
      project,
      schedule,
      reason: String(error),
    });
    return row.nextDueAt === null ? row : { ...row, fireAt: now() + RETRY_MS };
  }

  #tellDropped({ project, name, rules }: DueRow, { dropped }: Decision): void {
    this.#options.log('info', 'times of a schedule were missed', { project, schedule: name, dropped, missed: rules.missed ?? 'skip' });
  }
}

function movedOn(row: ScheduleRow, { fire, nextDueAt, dropped }: Decision, { now, random }: { now: number; random: () => number }): Moved {
  return {
    ...row,
    nextDueAt: nextDueAt ?? null,
    fireAt: nextDueAt === undefined ? null : fireAtOf(nextDueAt, row.rules, random),
    lastDueAt: fire.at(-1) ?? row.lastDueAt,
    lastFiredAt: fire.length > 0 ? now : row.lastFiredAt,
    missed: row.missed + dropped,
  };
}

/** This schedule's own matter; anything else is trouble of the node. */
function isRefusal(reason: unknown): reason is VirgaError {
  return reason instanceof VirgaError && (reason.code === 'queue_full' || reason.code === 'request_too_large');
}
