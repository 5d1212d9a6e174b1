// POST /v1/projects/{project}/workflows/{workflow}/runs: starts a run. Invariant: it is durable before it is answered; the same id starts one
// run, however often it is sent.
import { z } from '@hono/zod-openapi';
import type { StartedRun } from '../protocol/workflow-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { requireWorkflow, runId, workflowParams } from './workflow-names.ts';

const answer = z
  .object({ id: z.string(), workflow: z.string(), version: z.int(), started: z.boolean() })
  .openapi('StartedRun') satisfies z.ZodType<StartedRun>;

export function startWorkflow(app: ControlApp, { records, workflows }: Pick<ControlContext, 'records' | 'workflows'>): void {
  operation(
    app,
    {
      method: 'post',
      path: '/v1/projects/{project}/workflows/{workflow}/runs',
      summary: 'Start a run of a workflow',
      description:
        'It is stored when this is answered, and begins at once. With an `id` it is idempotent: a run of this id that is there already, in whatever state, is answered instead (`started` false). It keeps to the version that is live now.',
      params: z.strictObject(workflowParams),
      body: z.strictObject({
        input: z.unknown().optional().openapi({ description: 'What the handler gets. Without it null.' }),
        id: runId.optional().openapi({ description: 'Of the run, unique within the workflow. Without it a new one.' }),
      }),
      answers: { 202: { description: 'The run.', schema: answer } },
      errors: ['project_not_found', 'workflow_not_found', 'workflow_full', 'request_too_large'],
    },
    async ({ params: { project, workflow }, body: { input = null, id } }, c) => {
      const { version, runsMax } = await requireWorkflow(records, project, workflow);
      const started = await workflows.start({
        project,
        function: workflow,
        version,
        runsMax,
        input: JSON.stringify(input),
        trigger: 'api',
        ...(id === undefined ? {} : { id }),
      });
      return c.json({ ...started, workflow, version } satisfies StartedRun, 202);
    },
  );
}
