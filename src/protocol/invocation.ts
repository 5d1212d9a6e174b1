// What an invocation leaves behind: its receipt, its record, its log lines. Written by the edge in batches, read by the
// control API and the CLI.
import type { ErrorCode } from './errors.ts';
import type { Explanation } from './explanation.ts';
import type { LogLevelName } from './frames.ts';

/** Where the time of one invocation went, in ms with µs precision. */
export interface Receipt {
  /** Waiting for an instance that was already there or being started for somebody else. */
  queueMs: number;
  /** Cold only: starting the sandbox until its runtime said hello. */
  sandboxMs: number;
  /** Cold only: reading the code. */
  loadMs: number;
  /** Cold only: compiling and evaluating it. */
  initMs: number;
  /** From handing over the request to the last byte of the response. */
  handlerMs: number;
  cold: boolean;
  /** handlerMs + initMs, rounded up to a whole ms: what the caller's code used. Sandbox and load are the platform's. */
  billedMs: number;
}

export type Outcome = 'ok' | ErrorCode;

export interface InvocationRecord {
  /** `inv_` + 26 characters that sort by time. */
  id: string;
  /** 32 hex digits of the W3C trace id. */
  traceId: string;
  project: string;
  function: string;
  version: number;
  trigger: string;
  outcome: Outcome;
  /** HTTP status sent to the client; null for events. */
  status: number | null;
  /** e.g. `GET /notes/7`; null for events. */
  request: string | null;
  /** Message of the error, at most 1 KiB; null when ok. */
  error: string | null;
  /** Set when it failed at a limit, or with its instance. */
  explanation: Explanation | null;
  /** Unix ms, fractional. */
  startedAt: number;
  receipt: Receipt;
  peakMemoryBytes: number;
  bytesIn: number;
  bytesOut: number;
  instance: string;
}

export interface LogLine {
  /** Sorts by arrival: `log_` + 26 characters. */
  id: string;
  /** Unix ms. */
  at: number;
  project: string;
  function: string;
  version: number;
  /** Empty outside an invocation. */
  invocation: string;
  instance: string;
  level: LogLevelName;
  text: string;
}
