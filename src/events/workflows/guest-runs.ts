// What functions ask of the workflows of their own project: the SERVICE requests `runs.start` and `runs.send`, with the input or the data as
// JSON behind them. Invariant: the project is the calling instance's, whatever a request says. Made by server/edge-workflows.ts.
import { closestWord } from '../../lib/closest-word.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { ServiceRequest } from '../../protocol/frames.ts';
import type { Starter } from './start-run.ts';
import type { LiveWorkflow } from './trigger-starts.ts';

export interface GuestRunsNeeds {
  starter: Starter;
  workflowOf: (project: string, fn: string) => LiveWorkflow | undefined;
  /** Names of all that the project has. */
  workflowsOf: (project: string) => string[];
}

/** Rejects with a VirgaError. */
export async function askRuns(
  { starter, workflowOf, workflowsOf }: GuestRunsNeeds,
  project: string,
  request: ServiceRequest,
  data: Buffer,
): Promise<unknown> {
  const json = jsonOf(data);
  if (request.op === 'runs.start') {
    const { workflow: fn, id } = request;
    const workflow = typeof fn === 'string' ? workflowOf(project, fn) : undefined;
    if (workflow === undefined) throw noSuchWorkflow(project, String(fn), workflowsOf(project));
    const { version } = workflow;
    const started = await starter.start({ project, function: fn, ...workflow, input: json, trigger: 'function', id });
    return { ...started, version };
  }
  if (request.op === 'runs.send') {
    const { workflow: fn, run, event: name, id } = request;
    if (typeof fn !== 'string' || typeof run !== 'string')
      throw new VirgaError('invalid_request', 'the workflow and the run are named by texts');
    return await starter.send({ project, function: fn, id: run }, { name, data: json, id });
  }
  throw new VirgaError('invalid_request', `there is no operation '${String((request as { op: unknown }).op).slice(0, 40)}'`);
}

/** A copy of the text, which is JSON. */
function jsonOf(data: Buffer): string {
  if (data.length === 0) return 'null';
  const text = data.toString('utf8');
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new VirgaError('invalid_request', `what is sent to a workflow is no JSON: ${(error as Error).message}`);
  }
}

function noSuchWorkflow(project: string, fn: string, known: readonly string[]): VirgaError {
  const meant = closestWord(fn, known);
  const hint =
    meant === undefined
      ? known.length === 0
        ? '; it has no workflows'
        : `; it has ${known.slice(0, 5).join(', ')}`
      : `; did you mean '${meant}'?`;
  return new VirgaError('workflow_not_found', `project '${project}' has no workflow '${fn.slice(0, 60)}'${hint}`);
}
