// For the tests of this folder: a project with schedules on a real Postgres, a clock that is set by hand, and what was sent. Not part of
// the product.
import { PostgresBus } from '../postgres/postgres.ts';
import type { CloudEvent, ScheduleDue } from '../../protocol/events.ts';
import type { EventsSection } from '../../protocol/sources/sources.ts';
import type { ScheduleRules } from '../../protocol/sources/schedules.ts';
import type { TestDatabase, TestPostgres } from '../../store/records/testing.ts';
import type { Bus } from '../bus.ts';
import { deploySchedules } from './deployed.ts';
import { Scheduler } from './scheduler.ts';
import type { SchedulerOptions } from './scheduler.ts';

export const PROJECT = 'shop';
export const LATE_MS = 60_000;

export interface SchedulesUnderTest extends AsyncDisposable {
  database: TestDatabase;
  bus: Bus;
  clock: { now: number };
  scheduler: Scheduler;
  log: string[];
  /** As a deploy does it. `functions` of a schedule: without them one, named as it. */
  deploy(schedules: Record<string, ScheduleRules>, functions?: Record<string, { input?: unknown }>): Promise<void>;
  another(options?: Partial<SchedulerOptions>): Scheduler;
  /** Rounds until nothing is due at this time. */
  at(time: string | number): Promise<void>;
  /** What is in the queue of a schedule's function, in the order of sending; `cron 03:00` where it was due at 03:00. */
  sent(schedule: string, fn?: string): Promise<CloudEvent<ScheduleDue>[]>;
  /** The times at which what was sent was due. */
  due(schedule: string, fn?: string): Promise<string[]>;
}

export async function schedulesUnderTest(
  postgres: TestPostgres,
  startAt: string,
  options: Partial<SchedulerOptions> = {},
): Promise<SchedulesUnderTest> {
  const database = await postgres.database();
  const { records } = database;
  const clock = { now: Date.parse(startAt) };
  const now = (): number => clock.now;
  const lines: string[] = [];
  const log: SchedulerOptions['log'] = (level, message, fields) => void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  const bus = new PostgresBus({ connection: database.connection, holder: 'test', log, now });
  const another = (other: Partial<SchedulerOptions> = {}): Scheduler =>
    new Scheduler({ records, bus, lateMs: LATE_MS, log, now, random: () => 0.5, ...options, ...other });
  const scheduler = another();
  await records.query('insert into projects (name) values ($1)', [PROJECT]);
  const test: SchedulesUnderTest = {
    database,
    bus,
    clock,
    scheduler,
    log: lines,
    another,
    async deploy(schedules, functions) {
      const fns = (name: string): [string, { input?: unknown }][] => (functions === undefined ? [[name, {}]] : Object.entries(functions));
      const triggers: NonNullable<EventsSection['triggers']> = {};
      for (const name of Object.keys(schedules))
        for (const [fn, given] of fns(name)) triggers[fn] = [...(triggers[fn] ?? []), { schedule: name, ...given }];
      const state = { functions: {}, routes: [], events: { schedules, triggers } };
      await records.transaction(async (sql) => {
        const { rows } = await sql.query<{ id: string }>(
          `insert into deployments (project, kind, state, created_by) values ($1, 'deploy', $2, 'test') returning id`,
          [PROJECT, JSON.stringify(state)],
        );
        await sql.query('update projects set current_deployment = $2 where name = $1', [PROJECT, rows[0]!.id]);
        await deploySchedules(sql, { project: PROJECT, schedules, now: clock.now, random: () => 0.5 });
      });
    },
    async at(time) {
      clock.now = typeof time === 'number' ? time : Date.parse(time);
      for (;;) {
        const { moved } = await scheduler.round();
        if (moved === 0) return;
      }
    },
    async sent(schedule, fn = schedule) {
      const messages = await bus.peek(`${PROJECT}/schedule/${schedule}/${fn}`, { limit: 1_000 });
      return messages.map(({ body }) => JSON.parse(body) as CloudEvent<ScheduleDue>);
    },
    async due(schedule, fn) {
      return (await test.sent(schedule, fn)).map(({ data }) => new Date(data!.dueAt).toISOString().replace('.000Z', 'Z'));
    },
    async [Symbol.asyncDispose]() {
      await bus[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
  return test;
}
