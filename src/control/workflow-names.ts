// The workflows of a project, for the operations on them and their runs. Invariant: a name that does not exist fails with the one that was
// probably meant; a workflow that left virga.yaml is still there as long as it has runs.
import { z } from '@hono/zod-openapi';
import { workflowSettings } from '../events/workflows/workflow-rules.ts';
import type { WorkflowSettings } from '../events/workflows/workflow-rules.ts';
import { EVENT_RULE, ID_RULE, isEventName, isRunId } from '../events/workflows/names.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { Sql } from '../store/records/records.ts';
import { requireProject } from './project-records.ts';
import { hint } from './project-sources.ts';
import { name } from './schemas.ts';

export const runId = z.string().refine(isRunId, `must be the id of a run: ${ID_RULE}`);
export const eventName = z.string().refine(isEventName, `must be the name of an event: ${EVENT_RULE}`);
export const workflowParams = { project: name, workflow: name };
export const runParams = { ...workflowParams, run: runId };

export interface LiveWorkflow extends WorkflowSettings {
  version: number;
}

/** Those that are deployed, by name. */
export async function liveWorkflows(sql: Sql, project: string): Promise<Map<string, LiveWorkflow>> {
  const { state } = await requireProject(sql, project);
  const live = new Map<string, LiveWorkflow>();
  for (const [fn, rules] of Object.entries(state.events?.workflows ?? {})) {
    const one = state.functions[fn];
    if (one !== undefined) live.set(fn, { ...workflowSettings(rules), version: one.live?.version ?? one.version });
  }
  return live;
}

/** Fails with `workflow_not_found`. */
export async function requireWorkflow(sql: Sql, project: string, workflow: string): Promise<LiveWorkflow> {
  const live = await liveWorkflows(sql, project);
  const found = live.get(workflow);
  if (found !== undefined) return found;
  const { state } = await requireProject(sql, project);
  const why =
    state.functions[workflow] === undefined
      ? `project '${project}' has no workflow '${workflow}'${hint(workflow, [...live.keys()], 'workflows')}`
      : `function '${workflow}' is no workflow; say \`workflow: true\` of it in virga.yaml`;
  throw new VirgaError('workflow_not_found', why);
}
