// GET /v1/projects/{project}/workflows/{workflow}/runs/{run}: one run, step by step.
import { z } from '@hono/zod-openapi';
import { noSuchRun } from '../events/workflows/names.ts';
import { typeOfKey } from '../events/workflows/wait-keys.ts';
import type { RunDetail, RunEventItem, RunStep } from '../protocol/workflow-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { RUN_COLUMNS, errorOf, keptError, parsed, runItemOf, runShape } from './run-rows.ts';
import type { RunRow } from './run-rows.ts';
import { time, wholeNumber } from './schemas.ts';
import { runParams } from './workflow-names.ts';

const STEPS_MAX = 500;
const EVENTS_MAX = 100;
/** Results that are longer are named by their size. */
const RESULT_BYTES = 4 * 1024;

const step = z.object({
  ordinal: z.int(),
  scope: z.string(),
  kind: z.enum(['step', 'sleep', 'wait']),
  name: z.string(),
  occurrence: z.int(),
  event: z.string().nullable(),
  state: z.enum(['running', 'retrying', 'sleeping', 'waiting', 'done', 'failed', 'late']),
  attempts: z.int(),
  startedAt: time,
  endedAt: time.nullable(),
  wakeAt: time.nullable(),
  result: z.unknown().optional(),
  resultBytes: z.int(),
  error: keptError.nullable(),
}) satisfies z.ZodType<RunStep>;

const detail = z
  .object({
    ...runShape,
    input: z.unknown(),
    result: z.unknown().optional(),
    steps: z.array(step),
    next: z.int().nullable(),
    events: z.array(z.object({ id: z.string(), name: z.string(), at: time, ordinal: z.int().nullable() })),
  })
  .openapi('WorkflowRun') satisfies z.ZodType<RunDetail>;

interface StepRow extends Omit<RunStep, 'event' | 'startedAt' | 'endedAt' | 'wakeAt' | 'result' | 'error'> {
  waitsFor: string | null;
  startedAt: Date;
  endedAt: Date | null;
  wakeAt: Date | null;
  result: string | null;
  error: string | null;
}

export function readRun(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/workflows/{workflow}/runs/{run}',
      summary: 'One run of a workflow, step by step',
      params: z.strictObject(runParams),
      query: z.strictObject({ after: wholeNumber.optional().openapi({ description: `Steps behind this one, at most ${STEPS_MAX}.` }) }),
      answers: { 200: { description: 'The run.', schema: detail } },
      errors: ['project_not_found', 'run_not_found'],
    },
    async ({ params: { project, workflow, run: id }, query: { after = 0 } }, c) => {
      await requireProject(records, project);
      const { rows: runs } = await records.query<RunRow & { input: string; result: string | null }>(
        `select ${RUN_COLUMNS}, input, result from workflow_runs where project = $1 and function = $2 and id = $3`,
        [project, workflow, id],
      );
      const found = runs[0];
      if (found === undefined) throw noSuchRun({ project, function: workflow, id });
      const { run, input, result, ...row } = found;
      const { rows: steps } = await records.query<StepRow>(
        `select ordinal, scope, kind, name, occurrence, waits_for as "waitsFor", state, attempts, started_at as "startedAt", ended_at as "endedAt", wake_at as "wakeAt",
                case when octet_length(result) <= ${RESULT_BYTES} then result end as result, coalesce(octet_length(result), 0) as "resultBytes", error
           from workflow_steps where run = $1 and ordinal > $2 order by ordinal limit ${STEPS_MAX + 1}`,
        [run, after],
      );
      const { rows: events } = await records.query<Omit<RunEventItem, 'at'> & { at: Date }>(
        `select id, name, at, ordinal from workflow_events where run = $1 and (wait is null or ordinal is not null) order by event desc limit ${EVENTS_MAX}`,
        [run],
      );
      const shown = steps.slice(0, STEPS_MAX);
      const answer: RunDetail = {
        ...runItemOf(row),
        input: parsed(input),
        ...(result === null ? {} : { result: parsed(result) }),
        steps: shown.map(stepOf),
        next: steps.length > STEPS_MAX ? shown.at(-1)!.ordinal : null,
        events: events.map(({ at, ...event }) => ({ ...event, at: at.toISOString() })),
      };
      return c.json(answer);
    },
  );
}

function stepOf({ waitsFor, startedAt, endedAt, wakeAt, result, error, ...row }: StepRow): RunStep {
  return {
    ...row,
    event: waitsFor === null ? null : typeOfKey(waitsFor),
    startedAt: startedAt.toISOString(),
    endedAt: endedAt?.toISOString() ?? null,
    wakeAt: wakeAt?.toISOString() ?? null,
    ...(result === null ? {} : { result: parsed(result) }),
    error: errorOf(error),
  };
}
