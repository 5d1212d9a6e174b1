// What the control API says of workflows, as types: the server (src/control, whose schemas are checked against it) and the client
// (sdk/src/control.ts) share them. Times are ISO 8601 in UTC.
import type { KeptError, StepKind, StepState } from './workflow-run.ts';

export const RUN_STATES = ['pending', 'running', 'sleeping', 'waiting', 'succeeded', 'failed', 'cancelled'] as const;
/**
 * pending: has not begun. running: awake. sleeping: until `wakeAt`. waiting: for an event, until `wakeAt` if that is there.
 */
export type RunState = (typeof RUN_STATES)[number];

export interface WorkflowItem {
  name: string;
  /** Gets the runs that are started now; null: the function is removed, and its runs go on. */
  version: number | null;
  /** By state. */
  runs: Record<RunState, number>;
  /** Runs that have not ended, at most. */
  runsMax: number;
}

export interface RunItem {
  id: string;
  workflow: string;
  /** For its whole life. */
  version: number;
  state: RunState;
  /** What started it: api, http, function, queue, topic, event, schedule. */
  trigger: string;
  createdAt: string;
  startedAt: string | null;
  updatedAt: string;
  endedAt: string | null;
  wakeAt: string | null;
  error: KeptError | null;
}

export interface RunStep {
  ordinal: number;
  /** e.g. `1.2`: branch 2 of the first `parallel`; empty: none. */
  scope: string;
  kind: StepKind;
  name: string;
  occurrence: number;
  /** Of a wait for events of the project: their type. */
  event: string | null;
  state: StepState;
  attempts: number;
  startedAt: string;
  endedAt: string | null;
  /** When it ends, or is tried again, at the latest. */
  wakeAt: string | null;
  /** Absent: nothing, or more than is shown here (`resultBytes`). */
  result?: unknown;
  resultBytes: number;
  error: KeptError | null;
}

export interface RunEventItem {
  id: string;
  name: string;
  at: string;
  /** The wait that took it; null: none yet. */
  ordinal: number | null;
}

export interface RunDetail extends RunItem {
  input: unknown;
  result?: unknown;
  steps: RunStep[];
  /** Ask for the steps behind this ordinal with `after`; null: these are the last. */
  next: number | null;
  /** The latest. */
  events: RunEventItem[];
}

export interface StartedRun {
  id: string;
  workflow: string;
  version: number;
  /** false: there was a run of this id, and it goes on as it is. */
  started: boolean;
}

export interface SentRunEvent {
  id: string;
  run: string;
}

export interface ChangedRun {
  id: string;
  state: RunState;
}
