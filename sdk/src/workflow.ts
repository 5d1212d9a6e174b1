// Workflows: what their handlers get as the second argument, as the runtime (src/runtimes/node/workflow) makes it. Importing this does
// nothing.
import type { Context } from './function.ts';

export interface StepOptions {
  /** Without it what `workflow.retry` in virga.yaml says, else 5 attempts, from 1s on, at most 5m apart. Durations: '30s', '2h', or ms. */
  retry?: { attempts?: number; delay?: string | number; maxDelay?: string | number };
  /** Of one attempt. */
  timeout?: string | number;
}

/** What the function of a step gets. */
export interface StepAttempt {
  /** 1, 2, 3… */
  attempt: number;
  /** Aborts when the timeout is over, or the run is cancelled. */
  signal: AbortSignal;
}

export interface WorkflowEvent<Data = unknown> {
  id: string;
  name: string;
  data: Data;
  /** Unix ms: when it was sent, or published. */
  at: number;
  /** Of one that was published to the project: the CloudEvent, with its source, subject, time and data. */
  event?: { id: string; source: string; type: string; time?: string; subject?: string; data?: Data; [attribute: string]: unknown };
}

/** The second argument of a workflow's handler. */
export interface WorkflowContext extends Context {
  readonly run: { readonly id: string; readonly version: number; readonly startedAt: Date };
  /**
   * Runs it, keeps its result as JSON, and gives that in every replay. It is run again where its instance ended before the result was
   * kept. What it throws is thrown here once no attempt is left, with its name, message and fields.
   */
  step<T>(name: string, work: (attempt: StepAttempt) => T | Promise<T>, options?: StepOptions): Promise<T>;
  /** Holds no instance. `'30s'`, `'3d'`, or ms. */
  sleep(duration: string | number): Promise<void>;
  sleepUntil(time: Date | string | number): Promise<void>;
  /**
   * The event, also one that was sent before; undefined: it did not come in time. `match`: a filter pattern of its data. With `event` one
   * that is published to the project while the run waits, of this type (which stands under `workflow.events` in virga.yaml), and `match` is
   * a pattern of the whole of it: `{ data: { userId: [input.userId] } }`.
   */
  waitForEvent<Data = unknown>(
    name: string,
    options?: { timeout?: string | number; match?: Record<string, unknown>; event?: string },
  ): Promise<WorkflowEvent<Data> | undefined>;
  /** Runs the branches at the same time; when all have ended, their results, or the error of the first that failed. */
  parallel<T extends readonly (() => unknown)[]>(branches: readonly [...T]): Promise<{ [K in keyof T]: Awaited<ReturnType<T[K]>> }>;
  /** An error that no further attempt of its step is worth: `throw context.fatal('…')`. */
  fatal(message: string, options?: ErrorOptions): Error;
  /** When the last step before ended: the same in each replay, as the next two. */
  now(): Date;
  random(): number;
  uuid(): string;
}

/** No further attempt of the step that throws it is made. */
export class FatalError extends Error {
  override readonly name = 'FatalError';
  readonly retryable = false;
}
