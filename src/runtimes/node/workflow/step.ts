// Runs the function of one step until it has a result or may not be tried again. Invariant: its beginning is on its way to the node before
// the function runs, and its end is durable before the step resolves; a wait for the next attempt that is long is the node's.
import type { HistoryStep, StepEnd, WorkflowRun } from '../../../protocol/workflow-run.ts';
import { durationOf } from './duration.ts';
import { identityOf } from './open-step.ts';
import type { OpenStep, StepKeeper, WakeUpHost } from './open-step.ts';
import { errorOf, isFatal, jsonOf, keptError } from './values.ts';

export interface StepOptions {
  retry?: { attempts?: number; delay?: string | number; maxDelay?: string | number };
  timeout?: string | number;
}

/** What the function of a step gets. */
export interface Attempt {
  /** 1, 2, 3… */
  attempt: number;
  /** Aborts when the step's `timeout` is over. */
  signal: AbortSignal;
}

export type StepWork = (attempt: Attempt) => unknown;

const ATTEMPTS_MAX = 1_000;
const { setTimeout: after, clearTimeout: stop } = globalThis;

interface StepRun {
  wakeUp: StepKeeper;
  host: WakeUpHost;
  step: OpenStep;
  before: HistoryStep | undefined;
  work: StepWork;
  rules: Rules;
}

export function runStep(run: StepRun): void {
  const { wakeUp, step, before } = run;
  const attempt = (before?.attempts ?? 0) + 1;
  const begin = (): void => {
    if (wakeUp.mayRun(step)) void wakeUp.busy(() => attemptStep(run, attempt));
  };
  if (before?.state === 'retrying' && (before.inMs ?? 0) > 0) wakeUp.block({ step, inMs: before.inMs, again: begin });
  else begin();
}

async function attemptStep(run: StepRun, attempt: number): Promise<void> {
  const { wakeUp, host, step, work, rules } = run;
  const what = identityOf(step);
  let failed: unknown;
  // Not waited for: the function needs it not, and where it fails, so does what follows.
  host.ask({ op: 'workflow.begin', attempt, ...what }).catch(() => {});
  let json: string | undefined;
  let isDone = false;
  try {
    const value = await wakeUp.within(step, () =>
      withinTime(work, { attempt, timeoutMs: rules.timeoutMs, name: step.name, unwanted: wakeUp.signal }),
    );
    json = jsonOf(value, `the result of the step '${step.name}'`, wakeUp.run.limits.resultBytes);
    isDone = true;
  } catch (error) {
    failed = error;
  }
  if (isDone) {
    const end = (await host.ask({ op: 'workflow.done', attempt, ...what }, json === undefined ? undefined : Buffer.from(json))) as StepEnd;
    return wakeUp.ended(step, end, { value: json === undefined ? undefined : JSON.parse(json) });
  }
  const kept = keptError(failed);
  const data = Buffer.from(JSON.stringify(kept));
  if (attempt >= rules.attempts || isFatal(failed)) {
    const end = (await host.ask({ op: 'workflow.failed', attempt, ...what }, data)) as StepEnd;
    return wakeUp.ended(step, end, { error: errorOf(kept) });
  }
  const inMs = delayBefore(attempt + 1, rules, host.random());
  await host.ask({ op: 'workflow.retry', attempt, inMs, ...what }, data);
  const again = (): void => {
    if (wakeUp.mayRun(step)) void wakeUp.busy(() => attemptStep(run, attempt + 1));
  };
  wakeUp.block({ step, inMs, again });
}

async function withinTime(
  work: StepWork,
  { attempt, timeoutMs, name, unwanted }: { attempt: number; timeoutMs: number | undefined; name: string; unwanted: AbortSignal },
): Promise<unknown> {
  if (timeoutMs === undefined) return await work({ attempt, signal: unwanted });
  const controller = new AbortController();
  const late = Promise.withResolvers<never>();
  const timer = after(() => {
    const error = new DOMException(`the step '${name}' did not end within its timeout of ${timeoutMs} ms`, 'TimeoutError');
    late.reject(error);
    controller.abort(error);
  }, timeoutMs);
  try {
    const value = Promise.resolve(work({ attempt, signal: AbortSignal.any([unwanted, controller.signal]) }));
    return await Promise.race([value, late.promise]);
  } finally {
    stop(timer);
  }
}

interface Rules {
  attempts: number;
  delayMs: number;
  maxDelayMs: number;
  timeoutMs: number | undefined;
}

/** Throws for what is none. `of`: what the workflow says of all. */
export function rulesOf(name: string, { retry = {}, timeout }: StepOptions, of: WorkflowRun['retry']): Rules {
  const { attempts = of.attempts } = retry;
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > ATTEMPTS_MAX)
    throw new TypeError(`retry.attempts of the step '${name}' is ${String(attempts)}; it must be a whole number from 1 to ${ATTEMPTS_MAX}`);
  return {
    attempts,
    delayMs: retry.delay === undefined ? of.delayMs : durationOf(retry.delay, `retry.delay of the step '${name}'`),
    maxDelayMs: retry.maxDelay === undefined ? of.maxDelayMs : durationOf(retry.maxDelay, `retry.maxDelay of the step '${name}'`),
    timeoutMs: timeout === undefined ? undefined : Math.min(durationOf(timeout, `timeout of the step '${name}'`), 2 ** 31 - 1),
  };
}

/** Doubles with each; the half of it is left to chance. */
function delayBefore(attempt: number, { delayMs, maxDelayMs }: Rules, random: number): number {
  const whole = Math.min(maxDelayMs, delayMs * 2 ** (attempt - 2));
  return Math.round(whole * (0.5 + random / 2));
}
