// POST /v1/projects/{project}/schedules/{schedule}/pause, …/resume and …/run. Invariant: pausing holds until somebody resumes, or the rules
// in virga.yaml say otherwise than before; what is run by hand changes no plan.
import { z } from '@hono/zod-openapi';
import { fireByHand, pauseSchedule, resumeSchedule } from '../events/schedules/by-hand.ts';
import type { ScheduleRun } from '../protocol/schedules-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { itemOf, scheduleItem } from './read-schedules.ts';
import { name, time } from './schemas.ts';

const params = z.strictObject({ project: name, schedule: name });

export function actOnSchedule(app: ControlApp, { records, bus, now }: Pick<ControlContext, 'records' | 'bus' | 'now'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/schedules/{schedule}/pause',
      summary: 'Pause a schedule',
      description: 'It holds across deploys, until the schedule is resumed or `paused` in virga.yaml changes.',
      params,
      answers: { 200: { description: 'It is paused.', schema: scheduleItem } },
      errors: ['project_not_found', 'schedule_not_found'],
    },
    async ({ params: { project, schedule } }, c) => {
      const { state } = await requireProject(records, project);
      return c.json(itemOf(await pauseSchedule(records, { project, name: schedule }), state.events));
    },
  );
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/schedules/{schedule}/resume',
      summary: 'Let a paused schedule go on',
      description: 'Its `missed` says what becomes of the times that passed meanwhile.',
      params,
      answers: { 200: { description: 'It goes on.', schema: scheduleItem } },
      errors: ['project_not_found', 'schedule_not_found'],
    },
    async ({ params: { project, schedule } }, c) => {
      const { state } = await requireProject(records, project);
      const row = await resumeSchedule(records, { project, name: schedule }, { now: now(), random: Math.random });
      return c.json(itemOf(row, state.events));
    },
  );
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/schedules/{schedule}/run',
      summary: 'Fire a schedule now',
      description: 'Each of its functions gets an event with `dueAt` of now, also while it is paused. Its own times stay as they are.',
      params,
      answers: {
        202: {
          description: 'The events are stored and will be delivered.',
          schema: z
            .object({ name: z.string(), dueAt: time, deliveries: z.array(z.object({ function: z.string(), id: z.string() })) })
            .openapi('ScheduleRun') satisfies z.ZodType<ScheduleRun>,
        },
      },
      errors: ['project_not_found', 'schedule_not_found', 'queue_full'],
    },
    async ({ params: { project, schedule } }, c) => {
      await requireProject(records, project);
      const { dueAt, deliveries } = await fireByHand(records, bus, { project, name: schedule, now: now() });
      return c.json({ name: schedule, dueAt: new Date(dueAt).toISOString(), deliveries }, 202);
    },
  );
}
