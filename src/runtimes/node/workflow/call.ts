// An invocation that wakes a run of a workflow up: reads its history, runs the handler, and tells the node how it ended. Called by serve.ts.
import { WORKFLOW_RUN } from '../../../protocol/workflow-run.ts';
import type { HistoryStep, WorkflowAsk, WorkflowRun } from '../../../protocol/workflow-run.ts';
import { BadResponse, LoadError } from '../failure.ts';
import type { Handler } from '../handler-call.ts';
import type { ContextHost } from '../context.ts';
import type { Invocation } from '../invocation.ts';
import type { ServiceCalls } from '../service-calls.ts';
import { WorkflowContext } from './context.ts';
import { jsonOf, keptError } from './values.ts';
import { WakeUp } from './wake-up.ts';
import type { Ending } from './wake-up.ts';

const JSON_HEADERS = ['content-type', 'application/json'];
const { random } = Math;

export async function callWorkflow(
  handler: Handler | undefined,
  invocation: Invocation,
  { host, services }: { host: ContextHost; services: Pick<ServiceCalls, 'call'> },
): Promise<void> {
  if (handler === undefined) throw new LoadError('a workflow is a function handler(input, context); this code has fetch(request) only');
  const run = runOf(await invocation.body.readAll());
  // Of a step that ends the process it is known that it had begun.
  const ask = (request: WorkflowAsk, data?: Buffer): Promise<unknown> => {
    const how = { now: request.op === 'workflow.begin', patient: request.op !== 'workflow.news' };
    return services.call({ ...request, run: run.id, token: run.token }, data, how);
  };
  await readHistory(run, ask);
  const { project, function: fn, timeoutMs } = host.init;
  const wakeUp = new WakeUp(
    run,
    { ask, now: Date.now, remainingMs: () => invocation.remainingMs, timeoutMs, random },
    `${project}/${fn}/${run.id}/${run.startedAt}`,
  );
  invocation.isReplay = () => wakeUp.isReplay;
  const context = new WorkflowContext(host, invocation, wakeUp);
  invocation.onAbort(() => wakeUp.abandon());
  const ending = await wakeUp.start(() => handler(run.input, context));
  await tell(invocation, { run, ending, ask });
}

function runOf(body: Buffer): WorkflowRun {
  const event = JSON.parse(body.toString('utf8')) as { type?: string; data?: WorkflowRun };
  if (event.type !== WORKFLOW_RUN || event.data === undefined) throw new BadResponse(`a wake-up is an event of the type ${WORKFLOW_RUN}`);
  return event.data;
}

async function readHistory(run: WorkflowRun, ask: (request: WorkflowAsk) => Promise<unknown>): Promise<void> {
  let { more } = run;
  while (more !== undefined) {
    const page = (await ask({ op: 'workflow.history', after: more })) as { history: HistoryStep[]; more?: number };
    run.history.push(...page.history);
    ({ more } = page);
  }
}

async function tell(
  { answer }: Invocation,
  { run, ending, ask }: { run: WorkflowRun; ending: Ending; ask: (request: WorkflowAsk, data?: Buffer) => Promise<unknown> },
): Promise<void> {
  if (ending.as === 'broken') throw ending.error;
  let state: string = ending.as;
  if (ending.as === 'ended') {
    let { value } = ending;
    let json: string | undefined;
    ({ state } = ending);
    if (state === 'succeeded') {
      try {
        json = jsonOf(value, 'the result of the workflow', run.limits.resultBytes);
      } catch (error) {
        state = 'failed';
        value = error;
      }
    }
    const data = state === 'failed' ? JSON.stringify(keptError(value)) : json;
    const step = ending.step === undefined ? {} : { step: ending.step };
    await ask({ op: 'workflow.end', state: state as 'succeeded' | 'failed', ...step }, data === undefined ? undefined : Buffer.from(data));
    // The invocation failed as any does whose handler throws.
    if (state === 'failed') throw value;
  }
  await answer.whole({ status: 200, headers: JSON_HEADERS }, Buffer.from(JSON.stringify({ run: run.id, state })));
}
