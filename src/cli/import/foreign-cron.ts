// Times as other clouds write them, as a schedule of Virga: `rate(…)`, `cron(…)` and `at(…)` of AWS, the cron of Cloudflare, the six fields
// of Azure. Invariant: what cannot be said the same way is refused with the reason, never said otherwise. Pure.
import { cronProblem, isTimezone } from '../../lib/cron.ts';
import { durationText } from '../../lib/units.ts';

export type ForeignTime = { schedule: { cron?: string; rate?: string; at?: string; timezone?: string } } | { why: string };

const UNIT_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** `rate(5 minutes)`, `cron(0 8 * * ? *)`, `at(2027-01-01T00:00:00)`. */
export function awsTime(expression: string, timezone?: string): ForeignTime {
  const [, kind, inside = ''] = /^(rate|cron|at)\(([^()]*)\)$/.exec(expression.trim()) ?? [];
  if (timezone !== undefined && !isTimezone(timezone)) return { why: `${timezone} is no time zone that is known here` };
  const zone = timezone === undefined || timezone === 'UTC' ? {} : { timezone };
  if (kind === 'rate') {
    const [, count, unit] = /^(\d{1,6}) (minute|hour|day)s?$/.exec(inside.trim()) ?? [];
    if (unit === undefined) return { why: 'it is no rate of minutes, hours or days' };
    return { schedule: { rate: durationText(Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]) } };
  }
  if (kind === 'at') {
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(inside)) return { why: 'it is no time such as 2027-01-01T00:00:00' };
    if (zone.timezone !== undefined)
      return { why: 'it is a time of a time zone; write it with its offset, as `at: "2027-01-01T00:00:00+01:00"`' };
    return { schedule: { at: `${inside}Z` } };
  }
  if (kind !== 'cron') return { why: 'it is no rate(…), cron(…) or at(…)' };
  const fields = inside.trim().split(/\s+/);
  if (fields.length !== 6) return { why: 'it has other fields than minutes, hours, day of month, month, day of week and year' };
  if (fields[5] !== '*') return { why: `it is of the years ${fields[5]}; say \`start\` and \`end\` instead` };
  return fromOne(fields.slice(0, 5), zone);
}

/** Five fields, where Sunday is 1. */
export function cloudflareTime(expression: string): ForeignTime {
  const fields = expression.trim().split(/\s+/);
  return fields.length === 5 ? fromOne(fields, {}) : { why: 'it has other than five fields' };
}

/** Six fields, the first of them seconds; Sunday is 0. */
export function azureTime(expression: string): ForeignTime {
  const fields = expression.trim().split(/\s+/);
  if (fields.length === 5) return checked(fields.join(' '), {});
  if (fields.length !== 6) return { why: 'it is no expression of six fields' };
  if (!/^0+$/.test(fields[0]!)) return { why: 'it is of seconds; write the nearest `cron` or `rate`' };
  return checked(fields.slice(1).join(' '), {});
}

/** The days of the week are 1 (Sunday) to 7 there, 0 to 6 here. */
function fromOne(fields: string[], zone: { timezone?: string }): ForeignTime {
  const [minute, hour, day, month, weekday] = fields.map((field) => (field === '?' ? '*' : field));
  if (/[lw#]/i.test(`${day} ${weekday}`.replaceAll(/[A-Z]{3}/gi, ''))) return { why: 'it has L, W or #, which mean other days here' };
  const moved = weekday!.replace(/^[^/]+/, (days) => days.replaceAll(/\d+/g, (number) => String(Number(number) - 1)));
  return checked([minute, hour, day, month, moved].join(' '), zone);
}

const LAST = [59, 23, 31, 12, 6];

function checked(expression: string, zone: { timezone?: string }): ForeignTime {
  // `5/15` is from 5 on, every 15.
  const cron = expression
    .split(' ')
    .map((field, index) => field.replaceAll(/(?<=^|,)(\d+)\/(\d+)(?=$|,)/g, `$1-${LAST[index]}/$2`))
    .join(' ');
  const problem = cronProblem(cron);
  return problem === undefined ? { schedule: { cron, ...zone } } : { why: `it is not ${problem}` };
}
