// The second argument of a workflow's handler: what every handler has, and steps. The shape is published in the SDK (sdk/src/workflow.ts).
import type { RunMessage } from '../../../protocol/workflow-run.ts';
import { Context } from '../context.ts';
import type { ContextHost } from '../context.ts';
import type { Invocation } from '../invocation.ts';
import { durationOf } from './duration.ts';
import type { StepOptions, StepWork } from './step.ts';
import { fatal } from './values.ts';
import type { WakeUp } from './wake-up.ts';

export class WorkflowContext extends Context {
  readonly run: { id: string; version: number; startedAt: Date };
  readonly #wakeUp: WakeUp;

  constructor(host: ContextHost, invocation: Invocation, wakeUp: WakeUp) {
    super(host, invocation);
    this.run = { id: wakeUp.run.id, version: this.version, startedAt: new Date(wakeUp.run.startedAt) };
    this.#wakeUp = wakeUp;
  }

  /** Runs it once; in every replay its result is there at once. */
  async step(name: string, work: StepWork, options: StepOptions = {}): Promise<unknown> {
    return this.#wakeUp.step(name, work, options);
  }

  async sleep(duration: string | number): Promise<void> {
    const forMs = durationOf(duration, 'the duration of a sleep');
    await this.#wakeUp.sleep('', { forMs });
  }

  async sleepUntil(time: Date | string | number): Promise<void> {
    const until = new Date(time).getTime();
    if (!Number.isFinite(until))
      throw new TypeError(`'${String(time)}' is no time to sleep until; give a Date, an ISO 8601 text or Unix ms`);
    await this.#wakeUp.sleep('', { until });
  }

  /** The event; undefined: it did not come in time. With `event` one that is published to the project, of this type. */
  async waitForEvent(name: string, options: { timeout?: string | number; match?: unknown; event?: string } = {}): Promise<unknown> {
    const { timeout, match, event } = options;
    const forMs = timeout === undefined ? undefined : durationOf(timeout, `the timeout of the wait for '${name}'`);
    const came = (await this.#wakeUp.wait(name, { forMs, match, event })) as RunMessage | undefined;
    return came?.event === undefined ? came : { ...came, data: came.event.data };
  }

  /** Runs the branches at the same time; when all have ended, their results, or the error of the first that failed. */
  async parallel(branches: (() => unknown)[]): Promise<unknown[]> {
    if (!Array.isArray(branches) || branches.some((branch) => typeof branch !== 'function'))
      throw new TypeError('parallel takes a list of functions: parallel([() => …, () => …])');
    return this.#wakeUp.parallel(branches);
  }

  /** An error that no further attempt of its step is worth. */
  fatal(message: string, options?: ErrorOptions): Error {
    const error = fatal(new Error(message, options));
    error.name = 'FatalError';
    return error;
  }

  /** When the last step before ended: the same in each replay. */
  now(): Date {
    return new Date(this.#wakeUp.place.now);
  }

  /** From 0 to 1, the same in each replay. */
  random(): number {
    return this.#wakeUp.place.draw().readUIntBE(0, 6) / 2 ** 48;
  }

  /** A UUID that is the same in each replay. */
  uuid(): string {
    const bytes = this.#wakeUp.place.draw().subarray(0, 16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }
}
