// Times by a cron expression in a time zone: five fields (minute, hour, day of month, month, day of week), or six with the second first.
// croner reads the expression and says which times of a wall clock it means; when these are is decided here:
// - An expression of certain hours: a time that the clock skips happens at the next one that there is (several such are one), a time that
//   it repeats happens the first time only.
// - An expression of every hour (`*`) runs through: whenever the wall shows such a time, so twice in an hour that is repeated.
// croner's own rule takes only expressions of a single second, minute and hour for fixed: of `0,30 2 * * *` it loses what is skipped and
// doubles what is repeated. Invariant: what cronProblem() accepts, CronTimes takes. Time is passed in (Unix ms).
// Callers: functions/instance-windows.ts, events/schedules/; the manifest and the control API check what people wrote.
import { Cron } from 'croner';
import { ZoneClock } from './zone-clock.ts';

const DAY_MS = 86_400_000;
/** Within so long the clock changes once at most. No change is larger than a day. */
const AHEAD_MS = 3 * DAY_MS;

export class CronTimes {
  readonly #cron: Cron;
  readonly #clock: ZoneClock;
  readonly #everyHour: boolean;

  constructor(expression: string, timezone: string) {
    this.#cron = wallCron(expression);
    this.#clock = new ZoneClock(timezone);
    this.#everyHour = isEveryHour(fieldsOf(expression).at(-4)!);
  }

  /** The first time after `unixMs`; undefined: there is none, ever (February 30th). */
  next(unixMs: number): number | undefined {
    return this.#everyHour ? this.#nextShown(unixMs) : this.#nextOnce(unixMs);
  }

  #nextOnce(unixMs: number): number | undefined {
    let wall: number | undefined = this.#clock.latestShown(unixMs);
    for (;;) {
      wall = this.#nextWall(wall);
      if (wall === undefined) return undefined;
      const at = this.#clock.firstAt(wall);
      // Skipped times that became one with this very moment.
      if (at > unixMs) return at;
    }
  }

  #nextShown(unixMs: number): number | undefined {
    let from = unixMs;
    let shown = this.#clock.wallAt(from);
    for (;;) {
      const offset = this.#clock.offsetAt(from);
      const wall = this.#nextWall(shown);
      if (wall === undefined) return undefined;
      const change = this.#clock.changeIn(from, from + AHEAD_MS);
      const at = wall - offset;
      if (change === undefined) {
        if (at <= from + AHEAD_MS) return at;
        // No wall time before it is meant, however the clock changes until then.
        from = wall - 2 * DAY_MS;
        shown = Math.max(this.#clock.wallAt(from), shown);
        continue;
      }
      if (at < change) return at;
      from = change;
      // What the wall shows at the change itself counts.
      shown = this.#clock.wallAt(change) - 1;
    }
  }

  #nextWall(wallMs: number): number | undefined {
    return this.#cron.nextRun(new Date(wallMs))?.getTime();
  }
}

/** What is wrong with an expression, for the end of "expected …"; undefined: nothing. `seconds`: six fields are possible too. */
export function cronProblem(expression: string, { seconds = false }: { seconds?: boolean } = {}): string | undefined {
  const nickname = NICKNAMES[expression.trim().toLowerCase()];
  if (nickname !== undefined) return `the fields themselves: "${nickname}"`;
  const foreign = FOREIGN.find(({ form }) => form.test(expression.trim()));
  if (foreign !== undefined) return foreign.instead;
  const fields = fieldsOf(expression);
  const { length } = fields;
  if (length !== 5 && !(seconds && length === 6)) {
    const five = 'five fields: minute, hour, day of month, month, day of week';
    if (!seconds) return five;
    return `${five}; or six, with the second first${length === 7 ? '; for years say `start` and `end`' : ''}`;
  }
  if (fields.some((field, index) => field.includes('?') && index !== length - 3 && index !== length - 1))
    return 'a "?" for a day alone; six fields begin with the second and have no year, so of AWS leave the sixth out';
  try {
    return wallCron(expression).nextRun(new Date(0)) === null ? 'a time that exists' : undefined;
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

const NICKNAMES: Record<string, string> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** What is written elsewhere. AWS counts the days of the week from 1, so its expressions are not taken as they are. */
const FOREIGN: { form: RegExp; instead: string }[] = [
  { form: /^cron\(/i, instead: 'the first five fields of it, with days of the week by name (SUN is 0 here): "0 3 * * MON-FRI"' },
  { form: /^rate\(/i, instead: 'a cron expression; a rate is a key of its own: `rate: 5m`' },
  { form: /^at\(/i, instead: 'a cron expression; a single time is a key of its own: `at: "2026-12-24T18:00:00Z"`' },
  { form: /^@every\s/i, instead: 'a cron expression; an interval is a key of its own: `rate: 5m`' },
];

function fieldsOf(expression: string): string[] {
  return expression.trim().split(/\s+/);
}

/** Its times are those of a wall clock that knows no daylight saving: see ZoneClock. */
function wallCron(expression: string): Cron {
  return new Cron(expression.trim(), { utcOffset: 0, mode: '5-or-6-parts' });
}

/** Of a field that croner takes. */
function isEveryHour(field: string): boolean {
  const hours = new Set<number>();
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/');
    const [from = '', to = from] = range === '*' ? ['0', '23'] : range.split('-');
    for (let hour = Number(from); hour <= Number(to); hour += Number(step)) hours.add(hour);
  }
  return hours.size === 24;
}
