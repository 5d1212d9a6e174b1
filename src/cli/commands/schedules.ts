// `virga schedules`: when the schedules of a project were due and will be; pause, resume, and run one now. `next --cron` and `next --rate`
// tell the times of a schedule that is not deployed, and ask no server.
import type { Command } from 'commander';
import type { ScheduleItem } from '../../../sdk/src/schedules.ts';
import { cronProblem, isTimezone } from '../../lib/cron.ts';
import { ScheduleTimes } from '../../lib/schedule-times.ts';
import { durationMs } from '../../lib/units.ts';
import { actionOf, askedOf } from '../actions.ts';
import type { Action, Asked } from '../actions.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { UsageError } from '../failure.ts';
import { agoText } from '../phrases.ts';
import { table } from '../table.ts';
import { wholeNumber } from '../values.ts';

interface Options {
  project?: string;
  count?: string;
  from?: string;
  cron?: string;
  rate?: string;
  timezone?: string;
}

const SCHEDULE = 'the name of a schedule';
const ACTIONS = {
  list: { words: [], needed: 0 },
  show: { words: [SCHEDULE], needed: 1 },
  next: { words: [SCHEDULE], needed: 0, options: ['count', 'from', 'cron', 'rate', 'timezone'] },
  pause: { words: [SCHEDULE], needed: 1 },
  resume: { words: [SCHEDULE], needed: 1 },
  run: { words: [SCHEDULE], needed: 1 },
} satisfies Record<string, Action>;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;

export const command: CommandDefinition<Options> = {
  define(cli: Command) {
    cli
      .argument('[action]', `${Object.keys(ACTIONS).join(', ')}; without it list`)
      .argument('[words...]', 'the schedule, by its name in virga.yaml')
      .option('--count <number>', 'of next: how many times; without it 10')
      .option('--from <time>', 'of next: after this time, such as 2026-12-24T18:00:00+01:00; without it now')
      .option('--cron <expression>', 'of next: the times of this expression, in place of a schedule')
      .option('--rate <duration>', 'of next: the same of a rate such as 5m, counted from --from')
      .option('--timezone <zone>', 'of next: the time zone of --cron, and of what is printed')
      .option('-p, --project <name>', 'the project; without it, the one of the virga.yaml here');
  },
  examples: [
    'virga schedules',
    'virga schedules show nightly',
    'virga schedules next nightly --count 3',
    'virga schedules next --cron "0 3 * * *" --timezone Europe/Madrid',
    'virga schedules pause nightly',
    'virga schedules resume nightly',
    'virga schedules run nightly --json',
  ],
  notes:
    'A pause holds across deploys, until `resume`, or until `paused` in virga.yaml changes. What becomes of the times that passed meanwhile says `missed` of the schedule. `run` fires a schedule now, also a paused one, and leaves its own times as they are.',
  async run(context, given, options) {
    const { name: action, words } = actionOf('schedules', ACTIONS, { given, options });
    const [schedule] = words;
    if (options.cron !== undefined || options.rate !== undefined) return printOwnTimes(context, schedule, options);
    if (action === 'list') return await list(await askedOf(context, words, options));
    if (schedule === undefined) throw new UsageError('`virga schedules next` needs the name of a schedule, or --cron or --rate');
    const { count, from } = asked(options);
    const { client, project, terminal } = await askedOf(context, words, options);
    switch (action) {
      case 'show': {
        const item = await client.schedules.show(project, schedule);
        return terminal.result(item, () => shown(item));
      }
      case 'next': {
        const { rules } = await client.schedules.show(project, schedule);
        const answer = await client.schedules.next(project, schedule, { count, from });
        if (answer.times.length === 0) terminal.note(`The schedule '${schedule}' is not due any more.`);
        const zone = zoneOf(options) ?? rules.timezone ?? 'UTC';
        return terminal.result(answer, () => answer.times.map((time) => zonedText(time, zone)).join('\n'));
      }
      case 'pause': {
        const item = await client.schedules.pause(project, schedule);
        return terminal.result(item, () => `${schedule} is paused`);
      }
      case 'resume': {
        const item = await client.schedules.resume(project, schedule);
        const next = item.nextAt === null ? 'it is not due any more' : `next ${zonedText(item.nextAt, item.rules.timezone ?? 'UTC')}`;
        return terminal.result(item, () => `${schedule} goes on: ${next}`);
      }
      case 'run': {
        const run = await client.schedules.run(project, schedule);
        if (run.deliveries.length === 0) terminal.note(`No function has the schedule '${schedule}' among its triggers.`);
        return terminal.result(run, () => run.deliveries.map((one) => `${one.function} is called with the event ${one.id}`).join('\n'));
      }
    }
  },
};

async function list({ client, project, terminal }: Asked<Options>): Promise<void> {
  const schedules = await client.schedules.list(project);
  if (schedules.length === 0) terminal.note(`The project '${project}' has no schedules; \`schedules\` in virga.yaml names them.`);
  terminal.result(schedules, () => {
    if (schedules.length === 0) return '';
    const rows = schedules.map((item) => [
      item.name,
      timesText(item),
      item.functions.join(', '),
      nextText(item),
      item.lastDueAt === null ? '' : agoText(item.lastDueAt),
      item.missed === 0 ? '' : terminal.paint('yellow', String(item.missed)),
    ]);
    return table(['schedule', 'times', 'functions', 'next', 'last', '>missed'], rows, (text) => terminal.paint('dim', text));
  });
}

function timesText({ rules }: ScheduleItem): string {
  if (rules.rate !== undefined) return `every ${rules.rate}`;
  if (rules.at !== undefined) return 'once';
  return rules.cron ?? '';
}

function nextText(item: ScheduleItem): string {
  if (item.paused) return 'paused';
  return item.nextAt === null ? 'never again' : zonedText(item.nextAt, item.rules.timezone ?? 'UTC');
}

function shown(item: ScheduleItem): string {
  const zone = item.rules.timezone ?? 'UTC';
  const fired =
    item.lastFiredAt === null || item.lastDueAt === null ? '' : ` (${Date.parse(item.lastFiredAt) - Date.parse(item.lastDueAt)} ms late)`;
  const rows = [
    ['schedule', item.name],
    ...Object.entries(item.rules).map(([key, value]) => [key, String(value)]),
    ['functions', item.functions.join(', ') || 'none'],
    ['next', nextText(item)],
    ['last', item.lastDueAt === null ? 'never' : `${zonedText(item.lastDueAt, zone)}${fired}`],
    ['dropped', String(item.missed)],
  ];
  return table([], rows);
}

function printOwnTimes({ terminal }: CommandContext, schedule: string | undefined, options: Options): void {
  const { cron, rate } = options;
  if (schedule !== undefined || (cron !== undefined && rate !== undefined))
    throw new UsageError('give `virga schedules next` one of a schedule, --cron and --rate');
  const problem = cron === undefined ? undefined : cronProblem(cron, { seconds: true });
  if (problem !== undefined) throw new UsageError(`--cron is ${JSON.stringify(cron)}; expected ${problem}`);
  if (rate !== undefined && !((durationMs(rate) ?? 0) >= 1_000))
    throw new UsageError(`--rate is ${JSON.stringify(rate)}; expected a duration from 1s on, such as 5m`);
  const zone = zoneOf(options) ?? 'UTC';
  const { count, from } = asked(options);
  const after = from === undefined ? Date.now() : Date.parse(from);
  const times = new ScheduleTimes({ cron, rate, timezone: zone }, after);
  const found: string[] = [];
  for (let due = times.next(after); due !== undefined && found.length < (count ?? 10); due = times.next(due))
    found.push(new Date(due).toISOString());
  terminal.result({ times: found }, () => found.map((time) => zonedText(time, zone)).join('\n'));
}

function asked({ count, from }: Options): { count: number | undefined; from: string | undefined } {
  if (from !== undefined && (!INSTANT.test(from) || Number.isNaN(Date.parse(from))))
    throw new UsageError(`--from is ${JSON.stringify(from)}; expected a time with its zone, such as 2026-12-24T18:00:00+01:00`);
  return { count: count === undefined ? undefined : wholeNumber(count, '--count', { min: 1, max: 1_000 }), from };
}

function zoneOf({ timezone }: Options): string | undefined {
  if (timezone !== undefined && !isTimezone(timezone))
    throw new UsageError(`--timezone is ${JSON.stringify(timezone)}; expected a time zone such as Europe/Madrid or UTC`);
  return timezone;
}

/** e.g. `Sun 2026-03-29 03:00:00 GMT+2 (2026-03-29T01:00:00Z)`; of UTC the second alone. */
function zonedText(iso: string, zone: string): string {
  const utc = iso.replace('.000Z', 'Z');
  if (zone === 'UTC') return utc;
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'shortOffset',
  }).formatToParts(new Date(iso));
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? '';
  const day = `${part('weekday').replace('.', '')} ${part('year')}-${part('month')}-${part('day')}`;
  return `${day} ${part('hour')}:${part('minute')}:${part('second')} ${part('timeZoneName')} (${utc})`;
}
