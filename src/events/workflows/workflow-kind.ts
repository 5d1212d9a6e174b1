// What is done with a wake-up: the run is taken, the version that it was started with is called with its history, and what becomes of the
// call decides what comes next. Invariants: one run is awake once in this process (and, by its token, once at all); a wake-up that comes
// while the run is awake is told to it; a message is done only when the run has ended, or when its next wake-up is on the bus.
// Given to events/deliver/ by server/edge.ts; it also serves what guests ask for their runs.
import { randomUUID } from 'node:crypto';
import { VirgaError } from '../../protocol/errors.ts';
import { CLOUD_EVENT_TYPE } from '../../protocol/events.ts';
import type { WorkflowRequest } from '../../protocol/workflow-run.ts';
import { WORKFLOW_RUN } from '../../protocol/workflow-run.ts';
import type { ReceivedMessage } from '../bus.ts';
import type { DeliveryKind, Verdict } from '../deliver/delivery-kind.ts';
import type { EventOutcome, Invoker } from '../invoker.ts';
import type { Consumer } from '../topology.ts';
import { keyParts } from '../queue-keys.ts';
import { AwakeRun } from './awake-run.ts';
import { isAway } from './database-away.ts';
import { runKey } from './names.ts';
import type { RunName } from './names.ts';
import { errorText } from './runs.ts';
import type { Runs, Taken } from './runs.ts';
import { lost } from './step-writer.ts';
import type { StepWriter } from './step-writer.ts';
import type { WorkflowRulesOf } from './workflow-rules.ts';

export interface WorkflowKindNeeds {
  runs: Runs;
  writer: StepWriter;
  invoker: Pick<Invoker, 'invoke'>;
  rulesOf: WorkflowRulesOf;
  wake: (name: RunName, at: number) => Promise<void>;
  /** Whether events of this type are brought to runs of the function that wait for them. */
  hearsEvent: (name: RunName, type: string) => boolean;
  now: () => number;
  limits: { workflowStepsMax: number; workflowHistoryBytesMax: number; workflowBytesMax: number };
  log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** Ends of its instance in a row, without a step in between that was finished. */
const CRASHES_MAX = 5;
const CRASH_FIRST_MS = 1_000;
const CRASH_LAST_MS = 60_000;
const AWAY_MS = 500;
const HELD_MS = 1_000;
const SOON_MS = 60_000;
/** Longer than a wake-up can last: the longest `timeout`, and the time that a call may wait. */
const AWAKE_MS_MAX = 26 * 3_600_000;

export class WorkflowKind implements DeliveryKind {
  readonly #needs: WorkflowKindNeeds;
  readonly #awake = new Map<string, AwakeRun | undefined>();

  constructor(needs: WorkflowKindNeeds) {
    this.#needs = needs;
  }

  /** Runs that are awake here. */
  get size(): number {
    return this.#awake.size;
  }

  async deliver(consumer: Consumer, messages: ReceivedMessage[], signal: AbortSignal): Promise<Verdict[]> {
    return await Promise.all(messages.map((message) => this.#deliver(consumer, message, signal)));
  }

  /** Messages came for runs of a function: those that are awake look whether it concerns them, though there may be no place to deliver it. */
  heard(project: string, fn: string): void {
    for (const awake of this.#awake.values())
      if (awake !== undefined && awake.name.project === project && awake.name.function === fn) awake.heard();
  }

  /** For a guest: what it asks for the run that it has awake. Rejects with a VirgaError. */
  async ask(caller: { project: string; function: string }, request: WorkflowRequest, data: Buffer): Promise<unknown> {
    const { project, function: fn } = caller;
    const awake = typeof request.run === 'string' ? this.#awake.get(runKey({ project, function: fn, id: request.run })) : undefined;
    if (awake === undefined) throw lost();
    try {
      return await awake.ask(request, data);
    } catch (error) {
      if (error instanceof VirgaError) throw error;
      throw new VirgaError('unavailable', `the run could not be kept: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  async #deliver(consumer: Consumer, message: ReceivedMessage, signal: AbortSignal): Promise<Verdict> {
    const { project } = keyParts(consumer.queue.key);
    const { id, far } = wakeUpOf(message.body);
    const name = { project, function: consumer.function!, id };
    const key = runKey(name);
    if (this.#awake.has(key)) {
      const awake = this.#awake.get(key);
      // It is being taken just now.
      if (awake === undefined) return { as: 'failed', error: 'the run is being woken up', delayMs: 50 };
      // It sleeps already, and its call is about to end: nobody in there would hear of it.
      if (awake.state !== 'open') return { as: 'failed', error: 'the run is falling asleep', delayMs: 20 };
      awake.poke();
      return { as: 'done' };
    }
    this.#awake.set(key, undefined);
    try {
      return await this.#wakeUp(name, { far, signal });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!isAway(error)) this.#needs.log('warn', 'a run could not be woken up, which is tried again', { ...name, reason });
      return { as: 'failed', error: reason, delayMs: AWAY_MS };
    } finally {
      this.#awake.get(key)?.close();
      this.#awake.delete(key);
    }
  }

  async #wakeUp(name: RunName, { far, signal }: { far: boolean; signal: AbortSignal }): Promise<Verdict> {
    const { runs, now, rulesOf, limits } = this.#needs;
    const answer = await runs.take(name, { now: now(), forMs: AWAKE_MS_MAX });
    if (answer.as === 'over') return { as: 'done' };
    if (answer.as === 'early') {
      const inMs = (answer.wakeAt ?? Infinity) - now();
      if (far && answer.wakeAt !== undefined) await this.#needs.wake(name, answer.wakeAt);
      // Whoever made it sleep has sent a message for the time when it is due: perhaps this one, which came a little too soon.
      return inMs > SOON_MS ? { as: 'done' } : { as: 'failed', error: 'it came too soon', delayMs: Math.max(1, Math.ceil(inMs)) };
    }
    if (answer.as === 'held') return { as: 'failed', error: 'another edge has the run awake', delayMs: HELD_MS };
    const { taken } = answer;
    const { keepMs, retry } = rulesOf(name.project, name.function);
    const awake = new AwakeRun(name, taken, { ...this.#needs, keepMs });
    this.#awake.set(runKey(name), awake);
    const body = wakeUpEvent(name, taken, {
      retry,
      limits: { resultBytes: limits.workflowBytesMax, steps: limits.workflowStepsMax },
      at: now(),
    });
    const outcome = await this.#needs.invoker.invoke({
      project: name.project,
      function: name.function,
      version: taken.version,
      trigger: 'workflow',
      contentType: CLOUD_EVENT_TYPE,
      body,
      signal: AbortSignal.any([signal, awake.abort.signal]),
    });
    // Whoever took it away may have sent a message that was spent on telling this wake-up so.
    if (awake.state === 'lost') return { as: 'failed', error: 'the run was taken away', delayMs: 0 };
    if (awake.state !== 'open') return { as: 'done' };
    awake.close();
    return await this.#broke(name, taken, outcome, keepMs);
  }

  /** The call ended, and its guest has not said how the run goes on. */
  async #broke(name: RunName, taken: Taken, outcome: EventOutcome, keepMs: number): Promise<Verdict> {
    const { runs, now, log } = this.#needs;
    if (!outcome.ok && outcome.refused) {
      const delayMs = outcome.retryAfterMs ?? CRASH_FIRST_MS;
      await runs.broke(taken, { now: now(), wakeAt: now() + delayMs, counts: false });
      return { as: 'failed', error: `${outcome.code}: ${outcome.message}`, delayMs };
    }
    const { code, message } = outcome.ok
      ? { code: 'function_bad_response', message: 'it answered without telling how its run goes on' }
      : outcome;
    const delayMs = Math.min(CRASH_LAST_MS, CRASH_FIRST_MS * 2 ** taken.crashes);
    const crashes = await runs.broke(taken, { now: now(), wakeAt: now() + delayMs, counts: true });
    log('info', 'the instance of a run ended', { ...name, code, crashes });
    if (crashes < CRASHES_MAX) return { as: 'failed', error: `${code}: ${message}`, delayMs };
    const error = errorText({ name: code, message: `${message} (${crashes} times in a row, without a step in between that was finished)` });
    await runs.end(taken, { now: now(), keepMs, state: 'failed', result: null, error });
    return { as: 'done' };
  }
}

function wakeUpOf(body: string): { id: string; far: boolean } {
  const { run, far } = JSON.parse(body) as { run?: unknown; far?: unknown };
  return { id: typeof run === 'string' ? run : '', far: far === true };
}

/** The CloudEvent, with input and history passed on as they were kept. */
function wakeUpEvent(
  { project, function: fn, id }: RunName,
  { token, startedAt, input, history, more }: Taken,
  { retry, limits, at }: { retry: object; limits: object; at: number },
): Buffer {
  const head = {
    specversion: '1.0',
    id: `evt_${randomUUID()}`,
    source: `/projects/${project}/workflows/${fn}`,
    type: WORKFLOW_RUN,
    time: new Date(at).toISOString(),
    subject: id,
    datacontenttype: 'application/json',
  };
  const data = { id, token, startedAt: Math.round(startedAt), retry, limits, ...(more === undefined ? {} : { more }) };
  return Buffer.from(
    `${JSON.stringify(head).slice(0, -1)},"data":${JSON.stringify(data).slice(0, -1)},"input":${input},"history":[${history.join(',')}]}}`,
  );
}
