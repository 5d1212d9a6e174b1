// One invocation on its way through the engine: what is asked, who hears the answer, and where its time went.
// States: queued → running → ended; a call that its client abandoned is `abandoned` as well, and ends in silence.
// Invariant: exactly one of sink.end's two ways (a last body, or failed) is reached, once; afterwards the sink hears nothing.
// Made by engine.ts, moved by version-pool.ts and instance.ts.
import { CREDIT_WINDOW } from '../protocol/frames.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import type { Explanation } from '../protocol/explanation.ts';
import type { VirgaError } from '../protocol/errors.ts';
import type { FlatHeaders, RequestMeta } from '../protocol/frames.ts';
import type { Streamed } from '../protocol/stream-table.ts';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import type { DeployedVersion } from './version.ts';

/** Who hears the answer. None of these may throw. */
export interface CallSink {
  /** The request was handed to an instance and more of its body is wanted: send it with call.writeBody; it may be asked before invoke() has returned. */
  bodyWanted(call: Call): void;
  /** The head of the answer with its first bytes; `end`: the answer is complete. */
  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void;
  /** More of the answer. Say call.consumed(bytes) once they are passed on: that is the backpressure. */
  body(chunk: Buffer, end: boolean): void;
  /** No (complete) answer will come. `headSent`: an answer had begun. */
  failed(error: VirgaError, headSent: boolean): void;
}

/** Times of the start that a cold call waited for, in ms. */
export interface ColdTimes {
  sandboxMs: number;
  loadMs: number;
  initMs: number;
}

export interface CallRequest {
  version: DeployedVersion;
  meta: RequestMeta;
  traceId: string;
  /** First bytes of the body, all of it when `bodyEnds`. */
  body: Buffer | undefined;
  bodyEnds: boolean;
  /** Bytes of the body that the caller holds, where that is not in `body`. */
  heldBytes?: number;
  /** It asks for another protocol on its connection: the head of its answer may have the status 101, and both bodies are bytes of that then. */
  upgrade?: true;
  /** e.g. `http`, `invoke`. */
  trigger: string;
  /** e.g. `GET /notes/7`; null for events. */
  requestLine: string | null;
  sink: CallSink;
  /** Set: the log lines of this call are collected here as well, up to `logsMax`. */
  logs?: LogLine[];
}

export type CallState = 'queued' | 'running' | 'ended';

/** What an instance offers to its calls. */
export interface CallHost {
  writeBody(call: Call, chunk: Buffer, end: boolean): boolean;
  consumed(call: Call, bytes: number): void;
  abandon(call: Call): void;
}

export class Call implements Streamed<Call> {
  readonly request: CallRequest;
  state: CallState = 'queued';
  abandoned = false;
  /** performance.now() at acceptance, hand-over and head. */
  readonly acceptedAt: number;
  readonly startedAtUnixMs: number;
  runningAt = 0;
  headAt = 0;
  cold: ColdTimes | undefined;
  status: number | null = null;
  outcome: 'ok' | ErrorCode = 'ok';
  errorMessage: string | null = null;
  explanation: Explanation | null = null;
  bytesIn = 0;
  bytesOut = 0;
  headSent = false;
  /** The stream of the frame protocol, 0 while queued. */
  stream = 0;
  nextInTable: Call | undefined;
  /** Body bytes that may still be sent to the guest before it grants more. */
  sendWindow = 0;
  /** Answer bytes that the guest may still send before it is granted more. */
  receiveWindow = CREDIT_WINDOW;
  /** Answer bytes passed on but not yet granted back to the guest. */
  ungranted = 0;
  host: CallHost | undefined;
  /** Set when it has ended. */
  record: InvocationRecord | undefined;
  /** Bytes that are held for it while it waits. */
  readonly heldBytes: number;
  /** Runs, and counts with no processor. */
  resting = false;
  timer: NodeJS.Timeout | undefined;
  /** Hears once that the client left; set by the engine. */
  onAbandoned: (() => void) | undefined;
  /** Takes a queued call out of its queue; set while queued. */
  leaveQueue: (() => void) | undefined;

  constructor(request: CallRequest, now: number, unixMs: number) {
    this.request = request;
    this.acceptedAt = now;
    this.startedAtUnixMs = unixMs;
    this.heldBytes = request.body === undefined ? (request.heldBytes ?? 0) : request.body.length;
  }

  /** It is a connection of another protocol now, which lasts as long as it may. */
  get upgraded(): boolean {
    return this.status === 101;
  }

  /** Sends more of the request's body. False: wait for sink.bodyWanted() before sending on. Ignored once the call has ended. */
  writeBody(chunk: Buffer, end: boolean): boolean {
    if (this.host === undefined || this.state !== 'running') return true;
    return this.host.writeBody(this, chunk, end);
  }

  consumed(bytes: number): void {
    if (this.state === 'running') this.host?.consumed(this, bytes);
  }

  /** The client left: the handler is told, the sink hears nothing more. */
  abandon(): void {
    if (this.state === 'ended' || this.abandoned) return;
    this.abandoned = true;
    this.onAbandoned?.();
    if (this.state === 'queued') this.leaveQueue?.();
    else this.host?.abandon(this);
  }
}
