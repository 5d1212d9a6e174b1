// Invocations on their way to the program and back: each becomes an HTTP request on a connection of its own, its response the
// answer; both bodies stream, as fast as the slower side takes them. A connection that was upgraded (101) carries bytes both
// ways until either side ends it. Invariant: an answer is the program's, or says what the program did instead of answering.
// Called by web.ts for each invocation.
import { setImmediate as nextRound, setTimeout as sleep } from 'node:timers/promises';
import { BadResponse } from '../../failure.ts';
import type { Invocation } from '../../invocation.ts';
import { ConnectionLost } from './connection.ts';
import type { Connection, Receiver } from './connection.ts';
import type { Connections } from './connections.ts';
import type { ProgramRequest } from './program-request.ts';
import type { ResponseHead } from './response-head.ts';

/** A program that refuses an event: `said` is for the log alone. The host knows it by its name. */
class EventRefused extends Error {
  static {
    // Not of each: what an error has of its own is shown with it.
    this.prototype.name = 'EventRefused';
  }

  constructor(status: number, said: string) {
    super(`the program answered the event with status ${status}`);
    this.stack = `EventRefused: ${this.message}${said === '' ? '' : `: ${said}`}`;
  }
}

/** A connection breaks before its program is known to have ended. */
const END_FOLLOWS_MS = 200;
const SHOWN_BYTES = 500;
/** Rounds of the event loop: one may be in the middle of what it found readable. */
const LINES_ROUNDS = 2;
const REPEATABLE = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

export interface ProxyParts {
  connections: Connections;
  /** The program's end, expected or not. */
  ended: Promise<unknown>;
}

/** Resolves when the answer is complete, or nobody wants it any more. */
export function passOn(invocation: Invocation, request: ProgramRequest, parts: ProxyParts): Promise<void> {
  return new Promise((resolve, reject) => new ProxiedCall(invocation, request, parts, { resolve, reject }).begin());
}

interface Settling {
  resolve: (value: void | Promise<void>) => void;
  reject: (error: unknown) => void;
}

class ProxiedCall implements Receiver {
  readonly #invocation: Invocation;
  readonly #request: ProgramRequest;
  readonly #parts: ProxyParts;
  readonly #settling: Settling;
  #connection: Connection;
  /** The whole request has been written. */
  #sent: boolean;
  #over = false;
  /** Of an event that the program refused: the beginning of what it said. */
  #refusal: { status: number; said: Buffer } | undefined;

  constructor(invocation: Invocation, request: ProgramRequest, parts: ProxyParts, settling: Settling) {
    this.#invocation = invocation;
    this.#request = request;
    this.#parts = parts;
    this.#settling = settling;
    this.#sent = !request.streams && !request.upgrade;
    this.#connection = parts.connections.take();
  }

  begin(): void {
    this.#invocation.answer.onCancel = () => this.#abort();
    if (this.#invocation.answer.closed) return this.#abort();
    this.#connection.send(this.#request, this);
    if (this.#request.streams) void this.#sendBody();
  }

  onHead(head: ResponseHead, body: Buffer, end: boolean): Promise<void> | undefined {
    const { answer, meta } = this.#invocation;
    const { status, headers } = head;
    if (meta.kind === 'event') {
      if (status < 200 || status > 299) this.#refusal = { status, said: Buffer.alloc(0) };
      else answer.head({ status: 200, headers: contentTypeIn(headers) });
      return this.onBody(body, end);
    }
    if (end) {
      this.#finish(head.body === 'none' ? answer.empty({ status, headers }) : answer.whole({ status, headers }, body));
      return undefined;
    }
    answer.head({ status, headers });
    if (status === 101) void this.#sendBody();
    return answer.write(body);
  }

  onBody(chunk: Buffer, end: boolean): Promise<void> | undefined {
    if (this.#refusal !== undefined) {
      this.#refuse(this.#refusal, chunk, end);
      return undefined;
    }
    const { answer, meta } = this.#invocation;
    const wait = answer.write(chunk);
    if (!end) return wait;
    // The memory of the chunk is the connection's: it is not free before that.
    if (meta.kind === 'event') return this.#endEvent(wait);
    if (wait !== undefined) return wait.then(() => this.#end());
    this.#end();
    return undefined;
  }

  /** Whoever invokes a function directly gets its lines with the result: those that left the program before it are read first. */
  async #endEvent(wait: Promise<void> | undefined): Promise<void> {
    await wait;
    for (let round = 0; round < LINES_ROUNDS; round++) await nextRound();
    this.#end();
  }

  onFailure(error: Error): void {
    if (this.#over) return;
    const lost = error instanceof ConnectionLost;
    if (lost && error.silent && this.#connection.uses > 1 && this.#isRepeatable()) {
      // It was idle, and the program closed it as the request left.
      this.#connection = this.#parts.connections.fresh();
      this.#connection.send(this.#request, this);
      return;
    }
    if (!lost) return this.#fail(error);
    void this.#failUnlessEnded(error);
  }

  /** When the program has ended, that is what the caller is told: see web.ts. */
  async #failUnlessEnded(lost: ConnectionLost): Promise<void> {
    const ended = await Promise.race([this.#parts.ended.then(() => true), sleep(END_FOLLOWS_MS, false)]);
    if (!ended) this.#fail(new BadResponse(lost.message));
  }

  async #sendBody(): Promise<void> {
    const { chunked, upgrade } = this.#request;
    const connection = this.#connection;
    try {
      for (;;) {
        const chunk = await this.#invocation.body.next();
        if (this.#over) return;
        if (chunk === undefined) break;
        const wait = chunked ? connection.write(`${chunk.length.toString(16)}\r\n`, chunk, '\r\n') : connection.write(chunk);
        if (wait !== undefined) await wait;
      }
      if (upgrade) connection.end();
      else if (chunked) void connection.write('0\r\n\r\n');
      this.#sent = true;
    } catch {
      // The rest of it will not come: the client left, which the answer hears of as well.
    }
  }

  #end(): void {
    try {
      this.#invocation.answer.end();
      this.#finish(undefined);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #refuse(refusal: { status: number; said: Buffer }, chunk: Buffer, end: boolean): void {
    if (refusal.said.length < SHOWN_BYTES) refusal.said = Buffer.concat([refusal.said, chunk]);
    if (!end) return;
    const said = refusal.said.toString('utf8', 0, SHOWN_BYTES).trim();
    this.#fail(new EventRefused(refusal.status, said));
  }

  #finish(answered: void | Promise<void>): void {
    this.#over = true;
    this.#invocation.answer.onCancel = undefined;
    if (this.#sent) this.#parts.connections.release(this.#connection);
    else this.#connection.destroy();
    this.#settling.resolve(answered);
  }

  #fail(error: Error): void {
    this.#over = true;
    this.#invocation.answer.onCancel = undefined;
    this.#connection.destroy();
    this.#settling.reject(error);
  }

  /** Nothing more of the answer is wanted: the program hears it by its connection. */
  #abort(): void {
    this.#over = true;
    this.#connection.destroy();
    this.#settling.resolve();
  }

  #isRepeatable(): boolean {
    return !this.#request.streams && !this.#request.upgrade && REPEATABLE.has(this.#request.method);
  }
}

function contentTypeIn(headers: string[]): string[] {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === 'content-type') return ['content-type', headers[i + 1]!];
  return ['content-type', 'application/octet-stream'];
}
