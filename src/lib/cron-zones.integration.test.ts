// Ten years of six time zones: away from changes of the clock every time is that of cron-parser, another library on other date code
// (luxon). Around each change, where libraries differ by policy, it is what our rule says, applied minute by minute to what Intl shows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CronExpressionParser } from 'cron-parser';
import { CronTimes } from './cron.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const [FROM, TO] = [Date.UTC(2016, 0, 1), Date.UTC(2026, 0, 1)];
/** How much around a change is left to our rule. */
const AROUND_MS = 26 * HOUR_MS;

/** How often their clocks changed in these years, at least. */
const ZONES: Record<string, number> = {
  'Europe/Madrid': 20,
  'America/New_York': 20,
  'Australia/Lord_Howe': 20,
  'Africa/Casablanca': 20,
  'America/Santiago': 20,
  // None since 2019.
  'America/Sao_Paulo': 7,
  'Asia/Kolkata': 0,
};

interface Expression {
  text: string;
  everyHour: boolean;
  matches: (wall: Date) => boolean;
}

const at = (...hours: number[]) => new Set(hours);
const EXPRESSIONS: Expression[] = [
  ...[at(0), at(1), at(2), at(3), at(2, 3), at(23), at(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22)].flatMap((hours) =>
    [at(0), at(30), at(0, 15, 30, 45)].map((minutes) => ({
      text: `${[...minutes].join(',')} ${[...hours].join(',')} * * *`,
      everyHour: false,
      matches: (wall: Date) => hours.has(wall.getUTCHours()) && minutes.has(wall.getUTCMinutes()),
    })),
  ),
  { text: '*/10 * * * *', everyHour: true, matches: (wall) => wall.getUTCMinutes() % 10 === 0 },
  { text: '5 * * * *', everyHour: true, matches: (wall) => wall.getUTCMinutes() === 5 },
  {
    text: '30 2 * * 0',
    everyHour: false,
    matches: (wall) => wall.getUTCDay() === 0 && wall.getUTCHours() === 2 && wall.getUTCMinutes() === 30,
  },
  {
    text: '0 0 1-7 * *',
    everyHour: false,
    matches: (wall) => wall.getUTCDate() < 8 && wall.getUTCHours() === 0 && wall.getUTCMinutes() === 0,
  },
];

/** By the fields that Intl prints, which cron.ts does not ask for. */
function wallClock(timeZone: string): (unixMs: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  return (unixMs) => {
    const [month, day, year, hour, minute] = format.format(unixMs).match(/\d+/g)!.map(Number);
    return Date.UTC(year!, month! - 1, day, hour, minute);
  };
}

/** The first minute of each new offset. */
function changesOf(wallAt: (unixMs: number) => number): number[] {
  const changes: number[] = [];
  for (let t = FROM - 2 * AROUND_MS; t < TO + 2 * AROUND_MS; t += 12 * HOUR_MS) {
    const offset = wallAt(t) - t;
    if (wallAt(t + 12 * HOUR_MS) - t - 12 * HOUR_MS === offset) continue;
    let change = t;
    while (wallAt(change) - change === offset) change += MINUTE_MS;
    changes.push(change);
  }
  return changes;
}

function byOurRule({ everyHour, matches }: Expression, walls: { at: number; wall: number }[]): number[] {
  let reached = walls[0]!.wall;
  const due: number[] = [];
  for (const { at: unixMs, wall } of walls.slice(1)) {
    let isDue = false;
    if (everyHour) isDue = matches(new Date(wall));
    // What the wall has not shown before, up to what it shows now.
    else for (let w = reached + MINUTE_MS; w <= wall; w += MINUTE_MS) isDue ||= matches(new Date(w));
    if (isDue) due.push(unixMs);
    reached = Math.max(reached, wall);
  }
  return due;
}

function between(times: CronTimes, from: number, to: number): number[] {
  const found: number[] = [];
  for (let t = times.next(from); t !== undefined && t <= to; t = times.next(t)) found.push(t);
  return found;
}

for (const [zone, changesMin] of Object.entries(ZONES)) {
  const wallAt = wallClock(zone);
  const changes = changesOf(wallAt);

  test(`${zone}: around each of its changes in ten years times are as our rule says`, () => {
    assert.ok(changes.length >= changesMin, `${changes.length} changes`);
    for (const change of changes) {
      const [from, to] = [change - AROUND_MS, change + AROUND_MS];
      const walls = Array.from({ length: (to - from) / MINUTE_MS + 1 }, (_, n) => ({
        at: from + n * MINUTE_MS,
        wall: wallAt(from + n * MINUTE_MS),
      }));
      for (const expression of EXPRESSIONS) {
        const ours = between(new CronTimes(expression.text, zone), from, to);
        const place = `${expression.text} around ${new Date(change).toISOString()}`;
        assert.deepEqual(ours.map(iso), byOurRule(expression, walls).map(iso), place);
      }
    }
  });

  test(`${zone}: on all other days of ten years times are those of cron-parser`, () => {
    // From change to change, since over the half hour of Lord Howe cron-parser stops for ever.
    const edges = [FROM, ...changes.filter((change) => change > FROM + AROUND_MS && change < TO - AROUND_MS), TO];
    for (const text of ['30 2 * * 2,5', '0 0,12 * * 1', '0 4 L * *']) {
      let count = 0;
      for (const [index, edge] of edges.slice(1).entries()) {
        const [from, to] = [edges[index]! + AROUND_MS, edge - AROUND_MS];
        const ours = between(new CronTimes(text, zone), from, to);
        const other = CronExpressionParser.parse(text, { tz: zone, currentDate: new Date(from), endDate: new Date(to) });
        const theirs: number[] = [];
        while (other.hasNext()) theirs.push(other.next().getTime());
        assert.deepEqual(ours.map(iso), theirs.map(iso), text);
        count += ours.length;
      }
      assert.ok(count > 60, `${text}: ${count}`);
    }
  });
}

function iso(unixMs: number): string {
  return new Date(unixMs).toISOString();
}
