// POST /v1/projects/{project}/workflows/{workflow}/runs/{run}/events, cancel, retry: what is done to a run from outside.
import { z } from '@hono/zod-openapi';
import { cancelRun, retryRun } from '../events/workflows/change-run.ts';
import type { ChangedRun, SentRunEvent } from '../protocol/workflow-api.ts';
import { RUN_STATES } from '../protocol/workflow-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireProject } from './project-records.ts';
import { eventName, liveWorkflows, runId, runParams } from './workflow-names.ts';
import { workflowSettings } from '../events/workflows/workflow-rules.ts';

const changed = z.object({ id: z.string(), state: z.enum(RUN_STATES) }).openapi('ChangedRun') satisfies z.ZodType<ChangedRun>;
const sent = z.object({ id: z.string(), run: z.string() }).openapi('SentRunEvent') satisfies z.ZodType<SentRunEvent>;

type Needs = Pick<ControlContext, 'records' | 'workflows' | 'now'>;

export function changeRuns(app: ControlApp, { records, workflows, now }: Needs): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/workflows/{workflow}/runs/{run}/events',
      summary: 'Send an event to a run of a workflow',
      description: 'It is kept until the run waits for it. With an `id` it is taken once, however often it is sent.',
      params: z.strictObject(runParams),
      body: z.strictObject({
        name: eventName,
        data: z.unknown().optional().openapi({ description: 'Without it null.' }),
        id: runId.optional().openapi({ description: 'Of the event. Without it a new one.' }),
      }),
      answers: { 202: { description: 'It is stored.', schema: sent } },
      errors: ['project_not_found', 'run_not_found', 'run_ended', 'workflow_full', 'request_too_large'],
    },
    async ({ params: { project, workflow, run }, body: { name, data = null, id } }, c) => {
      await requireProject(records, project);
      const answer = await workflows.send({ project, function: workflow, id: run }, { name, data: JSON.stringify(data), id });
      return c.json({ ...answer, run } satisfies SentRunEvent, 202);
    },
  );
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/workflows/{workflow}/runs/{run}/cancel',
      summary: 'Cancel a run of a workflow',
      description: 'It ends now. A step that runs is told by its signal; what steps did is not undone.',
      params: z.strictObject(runParams),
      answers: { 200: { description: 'It is cancelled.', schema: changed } },
      errors: ['project_not_found', 'run_not_found', 'run_ended'],
    },
    async ({ params: { project, workflow, run } }, c) => {
      const live = await liveWorkflows(records, project);
      const { keepMs } = live.get(workflow) ?? workflowSettings(undefined);
      const name = { project, function: workflow, id: run };
      await cancelRun(records, name, { now: now(), keepMs });
      // Whoever has it awake is told.
      await workflows.wake(name);
      return c.json({ id: run, state: 'cancelled' } satisfies ChangedRun);
    },
  );
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/workflows/{workflow}/runs/{run}/retry',
      summary: 'Try a run of a workflow again',
      description:
        'A run that failed goes on from the step whose error ended it: steps before it are not run again. One that was cancelled goes on where it was.',
      params: z.strictObject(runParams),
      body: z.strictObject({
        version: z.int().min(1).optional().openapi({
          description: 'Goes on with the code of this version, which has to take the same steps up to there. Without it that of the run.',
        }),
      }),
      answers: { 200: { description: 'It goes on.', schema: changed } },
      errors: ['project_not_found', 'run_not_found', 'run_not_failed', 'version_not_found'],
    },
    async ({ params: { project, workflow, run }, body: { version } }, c) => {
      await requireProject(records, project);
      const name = { project, function: workflow, id: run };
      await retryRun(records, name, { now: now(), version });
      await workflows.wake(name);
      return c.json({ id: run, state: 'pending' } satisfies ChangedRun);
    },
  );
}
