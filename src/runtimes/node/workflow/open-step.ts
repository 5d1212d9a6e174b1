// What a wake-up (wake-up.ts) and the steps that run in it (step.ts) know of each other.
import type { StepEnd, StepIdentity, WorkflowAsk, WorkflowRun } from '../../../protocol/workflow-run.ts';
import type { Scope } from './scope.ts';

/** What a wake-up needs of where it runs. */
export interface WakeUpHost {
  ask(request: WorkflowAsk, data?: Buffer): Promise<unknown>;
  now(): number;
  /** Of the invocation: until its deadline, and in all. */
  remainingMs(): number;
  timeoutMs: number;
  random(): number;
}

/** A step that was asked for and has not ended. */
export interface OpenStep extends StepIdentity {
  readonly place: Scope;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export interface StepKeeper {
  readonly run: WorkflowRun;
  /** Aborts when nobody wants the wake-up any more. */
  readonly signal: AbortSignal;
  /** Runs the function of a step, in which no other can begin. */
  within<T>(step: OpenStep, work: () => T): T;
  /** Keeps the instance while `work` is under way. What it throws breaks the wake-up off. */
  busy(work: () => Promise<void>): Promise<void>;
  /** false: the step waits for a wake-up with more time. */
  mayRun(step: OpenStep): boolean;
  /** It goes on after so long, or when the node has news of it. */
  block(what: { step: OpenStep; inMs: number | undefined; again?: () => void }): void;
  /** It has ended, durably. */
  ended(step: OpenStep, end: StepEnd, outcome: { value: unknown } | { error: Error }): void;
}

export function identityOf({ ordinal, scope, kind, name, occurrence }: OpenStep): StepIdentity {
  return { ordinal, scope, kind, name, occurrence };
}
