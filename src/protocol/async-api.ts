// What the control API says of asynchronous invocations, as types: the server (src/control, whose schemas are checked against it) and the
// client (sdk/src/control.ts) share them. Times are ISO 8601 in UTC.
import type { Payload } from './events.ts';

export type AsyncState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/** The answer when it was taken. */
export interface AsyncAccepted {
  /** `inv_…`. */
  id: string;
  state: AsyncState;
  /** There was one of the same idempotency key: this is it. */
  again: boolean;
}

export interface AsyncItem {
  id: string;
  function: string;
  /** That ran it, or is asked to; null: whatever is live when it runs. */
  version: number | null;
  /** Who asked for it. */
  source: 'control' | 'http' | 'destination';
  state: AsyncState;
  /** Those that a crash of the node cut off do not count. */
  attempts: number;
  createdAt: string;
  startedAt: string | null;
  endedAt: string | null;
  /** When it has failed unless it succeeds before. */
  deadlineAt: string;
  /** When it is forgotten. */
  expiresAt: string;
  /** e.g. `POST /orders`; null: it was an event. */
  request: string | null;
  /** The record of its last attempt. */
  invocation: string | null;
  /** HTTP status of the answer; null: there is none. */
  status: number | null;
  error: { code: string; message: string } | null;
}

export interface AsyncDetail extends AsyncItem {
  /** What it was asked; null: it has not ended. Credentials are left out. */
  asked: (Payload & { method?: string; url?: string; headers?: string[] }) | null;
  /** `headers`: name, value, name, value…; `truncated`: the body was longer. */
  answer: { status: number; headers: string[]; contentType: string; text?: string; base64?: string; truncated: boolean } | null;
}

export interface AsyncFilter {
  function?: string | undefined;
  state?: AsyncState | undefined;
}
