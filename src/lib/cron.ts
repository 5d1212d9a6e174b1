// Times by a cron expression in a time zone: five fields (minute, hour, day of month, month, day of week), as everywhere.
// Daylight saving: a time that the clock skips happens at the next one that there is, a time that it repeats happens once.
// Invariant: what cronProblem() accepts, CronTimes takes. Time is passed in (Unix ms).
// Callers: functions/instance-windows.ts; the manifest and the control API check what people wrote.
import { Cron } from 'croner';

export class CronTimes {
  readonly #cron: Cron;

  constructor(expression: string, timezone: string) {
    this.#cron = new Cron(expression, { timezone, mode: '5-part' });
  }

  /** The first time after `unixMs`; undefined: there is none, ever (February 30th). */
  next(unixMs: number): number | undefined {
    return this.#cron.nextRun(new Date(unixMs))?.getTime();
  }
}

/** What is wrong with an expression, for the end of "expected …"; undefined: nothing. */
export function cronProblem(expression: string): string | undefined {
  // croner takes nicknames (@daily) and dates as well; one way to write a time is enough.
  if (expression.trim().split(/\s+/).length !== 5) return 'five fields: minute, hour, day of month, month, day of week';
  try {
    const times = new CronTimes(expression, 'UTC');
    return times.next(0) === undefined ? 'a time that exists' : undefined;
  } catch (error) {
    return `a cron expression (${error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error)})`;
  }
}

export function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
