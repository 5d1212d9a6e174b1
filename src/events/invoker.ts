// How functions are called for events: what events/ needs of the engine, which it does not know. Implemented by server/event-invoker.ts
// in the edge. Invariant: it resolves exactly once, for every call, and never rejects.
import type { ErrorCode } from '../protocol/errors.ts';
import type { FlatHeaders, HttpRequestMeta } from '../protocol/frames.ts';

/** What makes a call an HTTP request, as the gateway would have made it. */
export type HttpCall = Pick<HttpRequestMeta, 'method' | 'url' | 'headers' | 'route' | 'params' | 'client' | 'principal'>;

export interface EventCall {
  project: string;
  function: string;
  /** Without it the version that gets the function's requests. */
  version?: number;
  /** Of the invocation; default: a new one. */
  id?: string;
  /** As in InvocationRecord.trigger: queue, topic, event, schedule, async, stream, workflow, replay. */
  trigger: string;
  /** For its record, e.g. `QUEUE orders (10)`. */
  requestLine?: string;
  contentType: string;
  body: Buffer;
  /** W3C traceparent of what caused it. */
  traceparent?: string;
  signal?: AbortSignal;
  /** The function gets this request, with `body`, instead of an event. */
  http?: HttpCall;
  /** More of an answer than this is left out, and `truncated` says so; default: a larger one is a failure. */
  answerBytesMax?: number;
}

export type EventOutcome =
  | {
      ok: true;
      invocation: string;
      status: number;
      contentType: string;
      body: Buffer;
      /** Of the version that ran; absent where nobody asked. */
      version?: number;
      headers?: FlatHeaders;
      truncated?: true;
    }
  /** `refused`: it did not begin (queues are full, the node drains, the function is not there yet): no attempt was made. */
  | {
      ok: false;
      invocation: string | null;
      refused: boolean;
      code: ErrorCode;
      message: string;
      /** What the handler threw; for operators, not for callers. */ thrown?: string;
      retryAfterMs?: number;
    };

export interface Invoker {
  invoke(call: EventCall): Promise<EventOutcome>;
  /** Calls of events that the function can take at the same time, now: one while requests of its clients wait; undefined: there is no such function (now). */
  capacity(project: string, fn: string): number | undefined;
  /** Whether requests of clients wait for room on this node: events come after them. */
  readonly pressed: boolean;
}
