// When a schedule is due: by a cron expression, every so often, or once; within its start and end. Pure.
// Invariant: next() is always later than what it was given, and latest() names the very times that next() goes through.
// Callers: events/schedules/, `virga schedules next`.
import { CronTimes } from './cron.ts';
import { durationMs } from './units.ts';

export interface ScheduleSource {
  cron?: string | undefined;
  /** e.g. `5m`. */
  rate?: string | undefined;
  /** With its offset, as `start` and `end`. */
  at?: string | undefined;
  timezone?: string | undefined;
  start?: string | undefined;
  /** Inclusive. */
  end?: string | undefined;
}

/** What latest() looks back at first; then twice as much, and so on. */
const LOOK_BACK_MS = 60_000;

export class ScheduleTimes {
  readonly #after: (unixMs: number) => number | undefined;
  readonly #startMs: number;
  readonly #endMs: number;

  /** `anchorMs`: where a rate without `start` counts from. */
  constructor({ cron, rate, at, timezone = 'UTC', start, end }: ScheduleSource, anchorMs: number) {
    this.#startMs = start === undefined ? -Infinity : Date.parse(start);
    this.#endMs = end === undefined ? Infinity : Date.parse(end);
    if (cron !== undefined) {
      const times = new CronTimes(cron, timezone);
      this.#after = (unixMs) => times.next(unixMs);
    } else if (rate !== undefined) {
      const everyMs = durationMs(rate)!;
      const from = start === undefined ? anchorMs : this.#startMs;
      this.#after = (unixMs) => from + (Math.floor((unixMs - from) / everyMs) + 1) * everyMs;
    } else {
      const once = Date.parse(at!);
      this.#after = (unixMs) => (once > unixMs ? once : undefined);
    }
  }

  /** The first time after `unixMs`; undefined: there is none any more. */
  next(unixMs: number): number | undefined {
    const due = this.#after(Math.max(unixMs, this.#startMs - 1));
    return due === undefined || due > this.#endMs ? undefined : due;
  }

  /** The last `count` times from `from` to `to`, both included, in order. */
  latest(count: number, { from, to }: { from: number; to: number }): number[] {
    for (let lookBackMs = LOOK_BACK_MS; ; lookBackMs *= 2) {
      const since = Math.max(from, to - lookBackMs);
      const found: number[] = [];
      for (let due = this.next(since - 1); due !== undefined && due <= to; due = this.next(due)) {
        found.push(due);
        if (found.length > count) found.shift();
      }
      if (found.length === count || since === from) return found;
    }
  }
}
