// GET /v1/projects/{project}/schedules, …/{schedule}, and …/{schedule}/next: when each was due and will be.
import { z } from '@hono/zod-openapi';
import { requireSchedule } from '../events/schedules/by-hand.ts';
import { schedulesOf, timesOf } from '../events/schedules/schedule-table.ts';
import type { ScheduleRow } from '../events/schedules/schedule-table.ts';
import type { ScheduleItem, ScheduleTimesAnswer } from '../protocol/schedules-api.ts';
import { schedule as rules } from '../protocol/sources/schedules.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { name, time, wholeNumber } from './schemas.ts';

export const scheduleItem = z
  .object({
    name: z.string(),
    rules,
    functions: z.array(z.string()),
    paused: z.boolean(),
    nextAt: time.nullable(),
    lastDueAt: time.nullable(),
    lastFiredAt: time.nullable(),
    missed: z.int(),
  })
  .openapi('Schedule') satisfies z.ZodType<ScheduleItem>;

const NEXT_MAX = 1_000;

export function readSchedules(app: ControlApp, { records, now }: Pick<ControlContext, 'records' | 'now'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/schedules',
      summary: 'List the schedules of a project, by name',
      params: z.strictObject({ project: name }),
      answers: { 200: { description: 'All of them; there are at most a thousand.', schema: z.object({ items: z.array(scheduleItem) }) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project } }, c) => {
      const { state } = await requireProject(records, project);
      return c.json({ items: (await schedulesOf(records, project)).map((row) => itemOf(row, state.events)) });
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/schedules/{schedule}',
      summary: 'Show a schedule',
      params: z.strictObject({ project: name, schedule: name }),
      answers: { 200: { description: 'As it is now.', schema: scheduleItem } },
      errors: ['project_not_found', 'schedule_not_found'],
    },
    async ({ params: { project, schedule } }, c) => {
      const { state } = await requireProject(records, project);
      return c.json(itemOf(await requireSchedule(records, { project, name: schedule }), state.events));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/schedules/{schedule}/next',
      summary: 'List the next times of a schedule',
      description: 'Whether it is paused or not, and without the random part of `jitter`.',
      params: z.strictObject({ project: name, schedule: name }),
      query: z.strictObject({
        count: wholeNumber
          .pipe(z.int().min(1).max(NEXT_MAX))
          .optional()
          .openapi({ description: `How many at most, up to ${NEXT_MAX}. Without it 10.` }),
        from: z.iso.datetime({ offset: true }).optional().openapi({ description: 'After this time. Without it now.' }),
      }),
      answers: {
        200: {
          description: 'In order; fewer where it ends before.',
          schema: z.object({ name: z.string(), times: z.array(time) }).openapi('ScheduleTimes') satisfies z.ZodType<ScheduleTimesAnswer>,
        },
      },
      errors: ['project_not_found', 'schedule_not_found'],
    },
    async ({ params: { project, schedule }, query }, c) => {
      await requireProject(records, project);
      const times = timesOf(await requireSchedule(records, { project, name: schedule }));
      const found: string[] = [];
      let due = times.next(query.from === undefined ? now() : Date.parse(query.from));
      for (; due !== undefined && found.length < (query.count ?? 10); due = times.next(due)) found.push(new Date(due).toISOString());
      return c.json({ name: schedule, times: found });
    },
  );
}

export function itemOf(row: ScheduleRow, events: EventsSection | undefined): ScheduleItem {
  const functions = Object.entries(events?.triggers ?? {})
    .filter(([, triggers]) => triggers.some(({ schedule }) => schedule === row.name))
    .map(([fn]) => fn);
  return {
    name: row.name,
    rules: row.rules,
    functions,
    paused: row.paused,
    nextAt: row.paused ? null : isoOf(row.nextDueAt),
    lastDueAt: isoOf(row.lastDueAt),
    lastFiredAt: isoOf(row.lastFiredAt),
    missed: row.missed,
  };
}

function isoOf(unixMs: number | null): string | null {
  return unixMs === null ? null : new Date(unixMs).toISOString();
}
