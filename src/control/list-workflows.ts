// GET /v1/projects/{project}/workflows, and the runs of one: newest first.
import { z } from '@hono/zod-openapi';
import { RUN_STATES } from '../protocol/workflow-api.ts';
import type { RunItem, RunState, WorkflowItem } from '../protocol/workflow-api.ts';
import type { ControlContext } from './context.ts';
import { operation } from './operation.ts';
import type { ControlApp } from './operation.ts';
import { numberKey, pageOf, pageRequest } from './pagination.ts';
import { requireProject } from './project-records.ts';
import { RUN_COLUMNS, runItemOf, runShape } from './run-rows.ts';
import type { RunRow } from './run-rows.ts';
import { name, pageOf as pageSchema, pageQuery } from './schemas.ts';
import { liveWorkflows, requireWorkflow, workflowParams } from './workflow-names.ts';
import { workflowSettings } from '../events/workflows/workflow-rules.ts';

/** Of a bigint. */
const RUN_MAX = '9223372036854775807';
/**
 * The newest of one state, by the index. `between` and the order by state say what `=` would, and leave the planner no other way: going back
 * through all runs until a page is full looks cheap to it, and is 90 ms for each 300,000 runs of other workflows.
 */
const pageOfState = (state: RunState): string =>
  `(select ${RUN_COLUMNS.replace('run::text', 'run')} from workflow_runs
     where project = $1 and function = $2 and state between '${state}' and '${state}' and run < $3::bigint order by state desc, run desc limit $4)`;

const counts = z.object(Object.fromEntries(RUN_STATES.map((state) => [state, z.int()])) as Record<RunState, z.ZodInt>);
const item = z
  .object({ name: z.string(), version: z.int().nullable(), runs: counts, runsMax: z.int() })
  .openapi('Workflow') satisfies z.ZodType<WorkflowItem>;
const run = z.object(runShape).openapi('WorkflowRunItem') satisfies z.ZodType<RunItem>;

export function listWorkflows(app: ControlApp, { records }: Pick<ControlContext, 'records'>): void {
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/workflows',
      summary: 'List the workflows of a project, by name',
      description: 'Those that are no workflows any more are listed as long as they have runs that have not ended.',
      params: z.strictObject({ project: name }),
      query: z.strictObject(pageQuery),
      answers: { 200: { description: 'A page.', schema: pageSchema(item) } },
      errors: ['project_not_found'],
    },
    async ({ params: { project }, query }, c) => {
      const list = `workflows/${project}`;
      const page = pageRequest(list, query);
      const live = await liveWorkflows(records, project);
      const { rows } = await records.query<{ name: string; state: RunState; count: number }>(
        'select function as name, state, count(*)::int as count from workflow_runs where project = $1 group by 1, 2',
        [project],
      );
      const alive = rows.filter(({ state }) => state !== 'succeeded' && state !== 'failed' && state !== 'cancelled');
      const names = [...new Set([...live.keys(), ...alive.map((row) => row.name)])].sort().filter((one) => one > (page.after ?? ''));
      const items = names.slice(0, page.limit + 1).map((one): WorkflowItem => {
        const { version, runsMax } = live.get(one) ?? { version: null, ...workflowSettings(undefined) };
        const runs = Object.fromEntries(RUN_STATES.map((state) => [state, 0])) as Record<RunState, number>;
        for (const row of rows) if (row.name === one) runs[row.state] = row.count;
        return { name: one, version, runs, runsMax };
      });
      return c.json(pageOf(list, page, items, (workflow) => workflow.name));
    },
  );
  operation(
    app,
    {
      method: 'get',
      path: '/v1/projects/{project}/workflows/{workflow}/runs',
      summary: 'List the runs of a workflow, the newest first',
      params: z.strictObject(workflowParams),
      query: z.strictObject({
        ...pageQuery,
        state: z.enum(RUN_STATES).optional().openapi({ description: 'Only those in this state.' }),
      }),
      answers: { 200: { description: 'A page.', schema: pageSchema(run) } },
      errors: ['project_not_found', 'workflow_not_found'],
    },
    async ({ params: { project, workflow }, query: { state, ...query } }, c) => {
      const list = `runs/${project}/${workflow}/${state ?? ''}`;
      const page = pageRequest(list, query);
      await requireProject(records, project);
      const { rows } = await records.query<RunRow>(
        `select * from (${(state === undefined ? RUN_STATES : [state]).map(pageOfState).join(' union all ')}) r order by run desc limit $4`,
        [project, workflow, numberKey(page.after) ?? RUN_MAX, page.limit + 1],
      );
      if (rows.length === 0) await requireWorkflowOrRuns();
      return c.json({
        ...pageOf(list, page, rows, (row) => row.run),
        items: rows.slice(0, page.limit).map(({ run: _run, ...row }) => runItemOf(row)),
      });

      /** A name that never was one is a mistake; a list may be empty all the same. */
      async function requireWorkflowOrRuns(): Promise<void> {
        const { rows: any } = await records.query('select 1 from workflow_runs where project = $1 and function = $2 limit 1', [
          project,
          workflow,
        ]);
        if (any.length === 0) await requireWorkflow(records, project, workflow);
      }
    },
  );
}
