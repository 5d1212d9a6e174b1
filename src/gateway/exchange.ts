// One HTTP request and its answer, as the sink of one call: the body goes in with backpressure, the answer comes out with
// backpressure, a client that leaves abandons the call.
// Invariant: at most CREDIT_WINDOW bytes of a body are held in this process in either direction. Made by accept.ts.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Call, CallSink } from '../functions/call.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { Admission } from './admit.ts';
import type { StageSink } from './stage.ts';
import { answerHeaders, endWith, respondError } from './respond.ts';

export class Exchange implements CallSink {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly #bodyBytesMax: number;
  /** Of a route with stages. */
  readonly admission: Admission | undefined;
  /** Who hears the call's answer first: the stages that asked for it, then this. */
  readonly sink: StageSink;
  /** The whole body, where a stage has read it and it is too large for the first frame. */
  collected: Buffer | undefined;
  #collectedSent = 0;
  call: Call | undefined;
  #bodyBytes = 0;
  #bodyAttached = false;
  /** Written to the response, but not yet taken by the client's socket. */
  #held = 0;
  #over = false;
  /** What the function's own content-length still owes the client; undefined without one. */
  #owed: number | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, requestId: string, bodyBytesMax: number, admission?: Admission) {
    this.request = request;
    this.response = response;
    this.requestId = requestId;
    this.#bodyBytesMax = bodyBytesMax;
    this.admission = admission;
    this.sink = admission?.around(this) ?? this;
    response.on('close', () => {
      // Finished, but not by the call's answer: the gateway gave up waiting for the client.
      if (!response.writableFinished || !this.#over) this.#clientLeft();
    });
  }

  bodyWanted(call: Call): void {
    if (this.#over) return;
    this.call = call;
    if (this.collected !== undefined) {
      this.#sendCollected(call, this.collected);
      return;
    }
    if (this.#bodyAttached) {
      this.request.resume();
      return;
    }
    this.#bodyAttached = true;
    this.request.on('data', (chunk: Buffer) => this.#onRequestBytes(chunk));
    this.request.on('end', () => this.call?.writeBody(Buffer.alloc(0), true));
  }

  get heldBytes(): number {
    return this.collected?.length ?? 0;
  }

  #sendCollected(call: Call, body: Buffer): void {
    // Credit comes for the last bytes too.
    while (this.#collectedSent < body.length) {
      const slice = body.subarray(this.#collectedSent, this.#collectedSent + BODY_CHUNK_MAX);
      this.#collectedSent += slice.length;
      if (!call.writeBody(slice, this.#collectedSent >= body.length)) return;
    }
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    const { response, call } = this;
    const noBody = status === 204 || status === 304 || this.request.method === 'HEAD';
    try {
      const out = answerHeaders(headers, call, this.requestId, end && !noBody ? body.length : undefined);
      this.admission?.answered(status, out);
      if (!end && !noBody) this.#owed = lengthIn(out);
      response.writeHead(status, out);
    } catch (error) {
      // A header that HTTP cannot carry: the head has not left, so the caller still gets a clear answer.
      const message = `function '${call?.request.version.function}' answered with a header that cannot be sent: ${error instanceof Error ? error.message : String(error)}`;
      const failure = new VirgaError('function_bad_response', message.slice(0, 500));
      if (call !== undefined) {
        call.outcome = failure.code;
        call.errorMessage = failure.message;
        call.status = failure.status;
      }
      this.failed(failure, false);
      if (!end) this.#abandon();
      return;
    }
    if (end) {
      this.#over = true;
      if (noBody) response.end();
      else endWith(response, body);
      this.#discardRequest();
    } else if (body.length > 0) {
      if (this.#pay(body.length, false)) this.#write(body);
    } else response.flushHeaders();
  }

  body(chunk: Buffer, end: boolean): void {
    if (this.#over || !this.#pay(chunk.length, end)) return;
    if (end) {
      this.#over = true;
      this.response.end(chunk);
      this.#discardRequest();
    } else this.#write(chunk);
  }

  failed(error: VirgaError, headSent: boolean): void {
    if (this.#over) return;
    this.#over = true;
    // Half an answer must not look like a whole one: the connection is broken off.
    if (headSent) this.response.destroy();
    else
      respondError(this.response, error, {
        requestId: this.requestId,
        close: !this.request.complete,
        admission: this.admission,
        ...(this.call === undefined ? {} : { call: this.call }),
      });
    this.#discardRequest();
  }

  #write(chunk: Buffer): void {
    if (this.response.write(chunk)) {
      this.#passedOn(chunk.length);
      return;
    }
    if (this.#held === 0) {
      this.response.once('drain', () => {
        const bytes = this.#held;
        this.#held = 0;
        this.#passedOn(bytes);
      });
    }
    this.#held += chunk.length;
  }

  #passedOn(bytes: number): void {
    if (this.sink !== this && this.sink.passedOn !== undefined) this.sink.passedOn(bytes);
    else this.call?.consumed(bytes);
  }

  /**
   * Whether this much of an answer agrees with its content-length. More than that would be read as the next answer on the
   * connection, which behind a proxy is somebody else's; less would leave the client waiting.
   */
  #pay(bytes: number, end: boolean): boolean {
    if (this.#owed === undefined) return true;
    this.#owed -= bytes;
    if (this.#owed > 0 ? !end : this.#owed === 0) return true;
    const call = this.call!;
    const failure = new VirgaError(
      'function_bad_response',
      `function '${call.request.version.function}' sent ${this.#owed < 0 ? 'more' : 'less'} than the content-length of its answer`,
    );
    call.outcome = failure.code;
    call.errorMessage = failure.message;
    this.failed(failure, true);
    if (!end) this.#abandon();
    return false;
  }

  #onRequestBytes(chunk: Buffer): void {
    if (this.#over) return;
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > this.#bodyBytesMax) {
      this.failed(tooLarge(this.#bodyBytesMax), this.call?.headSent ?? false);
      this.#abandon();
      return;
    }
    if (this.call?.writeBody(chunk, false) === false) this.request.pause();
  }

  /** The answer is complete before the request: what the client still sends is read and dropped, so that it can read. */
  #discardRequest(): void {
    if (!this.request.complete) this.request.resume();
  }

  /** The answer cannot be sent: nobody hears more of it. */
  #abandon(): void {
    if (this.sink !== this) this.sink.dropped?.();
    this.call?.abandon();
  }

  #clientLeft(): void {
    this.#over = true;
    if (this.sink !== this && this.sink.left?.() === true) return;
    this.call?.abandon();
  }
}

/** Bodies of a route may be held to less than those of the node. */
export function tooLargeForRoute(bytesMax: number, route: string): VirgaError {
  return new VirgaError('request_too_large', `the request's body is larger than the ${bytesMax} bytes that the route ${route} takes`);
}

export function tooLarge(bytesMax: number): VirgaError {
  return new VirgaError(
    'request_too_large',
    `the request's body is larger than the ${bytesMax} bytes that this node accepts (VIRGA_LIMIT_REQUEST_BYTES)`,
  );
}

function lengthIn(headers: FlatHeaders): number | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'content-length') return Number(headers[i + 1]);
  return undefined;
}
