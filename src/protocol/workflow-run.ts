// What the edge and a workflow's guest say to each other: the event that wakes a run up, and the SERVICE requests by which its steps are
// made durable. Invariant: every request names the run and the token of its wake-up, and is refused once another wake-up has a newer one.
// Used by events/workflows/, the guests (runtimes/node/workflow, runtimes/python/virga_guest/workflow), and docs/reference/events.md.

import type { CloudEvent } from './events.ts';

export type StepKind = 'step' | 'sleep' | 'wait';

/**
 * running: begun, and not heard of since. retrying: failed, and is tried again. sleeping, waiting: until a time, for an event.
 * done, failed: ended. late: a wait whose time was up.
 */
export type StepState = 'running' | 'retrying' | 'sleeping' | 'waiting' | 'done' | 'failed' | 'late';

/** Which step of the code it is: the same in each replay. */
export interface StepIdentity {
  /** In the order of their beginning, over the whole run: 1, 2, 3… */
  ordinal: number;
  /** Branches of `parallel` that it is in: `<which parallel of its scope>.<branch>`, from the outside in, e.g. `1.0/2.3`; empty: none. */
  scope: string;
  kind: StepKind;
  /** Of a wait the name of the event; of a sleep empty, unless it was given one. */
  name: string;
  /** Of this kind and name in its scope: 1, 2, 3… */
  occurrence: number;
}

/** An error as it is kept: enough to be thrown again. */
export interface KeptError {
  name: string;
  message: string;
  stack?: string | undefined;
  /** Python: module and class, to raise the same. */
  type?: string | undefined;
  /** What else it had that is JSON: `code`, `status`… In Python its arguments, as `args`. */
  fields?: Record<string, unknown> | undefined;
  /** Of a run that failed: the step whose error it was. */
  step?: number | undefined;
}

export interface HistoryStep extends StepIdentity {
  state: StepState;
  attempts: number;
  /** Of one that is done; absent: undefined, or None. Of a wait a `RunMessage`. */
  result?: unknown;
  error?: KeptError;
  /** In which order steps ended: a replay ends them in the same. */
  place?: number;
  /** When it ended, Unix ms. */
  at?: number;
  /** Of one that sleeps, waits or is tried again: how long still, ms; absent: for ever. */
  inMs?: number;
}

/** What waitForEvent gives. */
export interface RunMessage {
  /** As its sender, or its source, has it. */
  id: string;
  /** Of the wait. */
  name: string;
  /** Of an event of the project it is in `event`, and guests put it here. */
  data?: unknown;
  event?: CloudEvent;
  /** Unix ms. */
  at: number;
}

/** Data of the event `virga.workflow.run`. */
export interface WorkflowRun {
  /** As it is known to those who started it. */
  id: string;
  /** Of this wake-up. */
  token: number;
  startedAt: number;
  input: unknown;
  /** How a step that failed is tried again, unless it says otherwise. */
  retry: { attempts: number; delayMs: number; maxDelayMs: number };
  limits: { resultBytes: number; steps: number };
  history: HistoryStep[];
  /** The history goes on: ask for the steps behind this ordinal. */
  more?: number;
}

/** Beside these, each has `run` and `token`; what is kept of a step (its result, its error) is the bytes of the frame, as JSON. */
export type WorkflowAsk =
  /** Answered null, once it is durable; nobody has to wait for it. */
  | ({ op: 'workflow.begin'; attempt: number } & StepIdentity)
  /** Answered by a `StepEnd`. */
  | ({ op: 'workflow.done' | 'workflow.failed'; attempt: number } & StepIdentity)
  /** It failed, and is tried again in so many ms. Answered null. */
  | ({ op: 'workflow.retry'; attempt: number; inMs: number } & StepIdentity)
  /** Answered `{inMs}`, or by a `StepEnd` when that is in the past. */
  | ({ op: 'workflow.sleep'; forMs?: number; until?: number } & StepIdentity)
  /**
   * Answered by a `StepEnd` when the event is there, or where it cannot be waited for, else null. `event`: the type of an event of the
   * project; without it `name` is that of an event which is sent to the run. The bytes of the frame are the pattern that it has to fit: the
   * event of the project, the data of the other.
   */
  | ({ op: 'workflow.wait'; forMs?: number; event?: string } & StepIdentity)
  /** Answered by `StepEnd`s, as soon as there are any: of sleeps that are over, events that came, waits that are too late. */
  | { op: 'workflow.news' }
  /** Nothing runs: answered null when the invocation may end, else by the `StepEnd`s that came meanwhile. `again`: wake it at once. */
  | { op: 'workflow.suspend'; again?: true }
  /** The handler is through; result or error in the bytes. `step`: whose error it is. Answered null. */
  | { op: 'workflow.end'; state: 'succeeded' | 'failed'; step?: number }
  /** Answered `{history, more?}`. */
  | { op: 'workflow.history'; after: number };

export type WorkflowRequest = WorkflowAsk & { run: string; token: number };

/** A step has ended, durably. */
export interface StepEnd {
  ordinal: number;
  place: number;
  at: number;
  state: 'done' | 'failed' | 'late';
  /** Of a wait; a step has its own. */
  result?: unknown;
  /** Of a wait that was refused. */
  error?: KeptError;
}

export const WORKFLOW_RUN = 'virga.workflow.run';
