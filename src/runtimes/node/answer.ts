// The guest's side of an answer: RESPONSE, BODY… with END, or ERROR.
//
//   open ──head()──▶ staged ──tick ends, or 64 KiB──▶ sent ──end()──▶ ended
//    └──fail(), cancel() + settle()──────────────────────────────────▶ ended
//
// Invariant: each stream ends exactly once, with END or ERROR, and the host never has more than CREDIT_WINDOW body bytes
// that it did not ask for. The head and the chunks of one tick are staged: a small answer whose stream ends within the
// tick that began it leaves as one frame, so that a stream of known length needs no case of its own.
// Callers: web-call.ts, handler-call.ts; serve.ts for credits, cancelling and failures.
import {
  BODY_CHUNK_MAX,
  CREDIT_WINDOW,
  FRAME_PAYLOAD_MAX,
  Flag,
  FrameType,
  HEADER_BYTES,
  encodeFrame,
  encodeHeader,
  encodeJsonFrame,
  encodeMetaFrame,
} from '../../protocol/frames.ts';
import type { GuestError, ResponseMeta } from '../../protocol/frames.ts';
import type { Outlet, TickEnd } from './channel.ts';
import { BadResponse, toGuestError } from './failure.ts';

export interface AnswerOptions {
  stream: number;
  /** performance.now() of the request's arrival. */
  receivedAt: number;
  /** Sends what has to be with the host before the stream ends (logs, peak memory). */
  beforeEnd: () => void;
}

export class Answer implements TickEnd {
  readonly #outlet: Outlet;
  readonly #stream: number;
  readonly #receivedAt: number;
  readonly #beforeEnd: () => void;
  #window = CREDIT_WINDOW;
  /** Staged until it is sent. */
  #head: ResponseMeta | undefined;
  #headSent = false;
  /** Value of content-length as the function gave it; NaN: none. */
  #declared = NaN;
  #bodyBytes = 0;
  #staged: Buffer | undefined;
  #stagedBytes = 0;
  /** Staged chunks after the first. */
  #stagedMore: Buffer[] | undefined;
  #deferred = false;
  #wake: (() => void) | undefined;
  #ended = false;
  #cancelled = false;
  /** Called when nothing more of the body is wanted. */
  onCancel: (() => void) | undefined;

  constructor(outlet: Outlet, options: AnswerOptions) {
    this.#outlet = outlet;
    this.#stream = options.stream;
    this.#receivedAt = options.receivedAt;
    this.#beforeEnd = options.beforeEnd;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Nothing more can be sent: whoever produces the body may stop. */
  get closed(): boolean {
    return this.#ended || this.#cancelled;
  }

  /** Stages the head; it leaves with the first chunks, at the end of this tick at the latest. */
  head(meta: ResponseMeta): void {
    if (this.closed) return;
    this.#declared = contentLength(meta);
    this.#head = meta;
    this.#deferFlush();
  }

  /** An answer without a body (HEAD, 204, 304); its headers stay as they are. */
  empty(meta: ResponseMeta): void {
    if (this.closed) return;
    this.#head = meta;
    this.#sendHead(Flag.END);
  }

  /** Stages or sends a chunk. A promise: wait for it before the next chunk (no credit, or a slow host). */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.closed || chunk.length === 0) return undefined;
    this.#bodyBytes += chunk.length;
    if (this.#headSent && this.#bodyBytes > this.#declared) this.#tooLong();
    const total = this.#stagedBytes + chunk.length;
    if (total <= BODY_CHUNK_MAX && total <= this.#window) {
      // A copy: a source may fill the same memory again for its next chunk.
      const copy = Buffer.from(chunk);
      if (this.#staged === undefined) this.#staged = copy;
      else (this.#stagedMore ??= []).push(copy);
      this.#stagedBytes = total;
      this.#deferFlush();
      return undefined;
    }
    return this.#writeLarge(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }

  /** The body is complete. */
  end(): void {
    if (this.closed) return;
    if (!this.#headSent) {
      this.#correctLength();
      this.#sendHead(Flag.END);
    } else if (this.#bodyBytes < this.#declared) {
      throw new BadResponse(`its content-length is ${this.#declared}, but its body has ${this.#bodyBytes} bytes`);
    } else this.#sendStaged(Flag.END);
  }

  /** A complete answer. The caller leaves the body's memory alone from now on. */
  async whole(meta: ResponseMeta, body: Buffer): Promise<void> {
    if (this.closed) return;
    this.#declared = contentLength(meta);
    this.#head = meta;
    if (body.length > 0 && body.length <= BODY_CHUNK_MAX && body.length <= this.#window) {
      this.#bodyBytes = this.#stagedBytes = body.length;
      this.#staged = body;
    } else {
      const wait = this.write(body);
      if (wait !== undefined) await wait;
    }
    this.end();
  }

  fail(error: GuestError): void {
    if (this.#ended) return;
    this.#beforeEnd();
    this.#ended = true;
    this.#drop();
    this.#outlet.send(encodeJsonFrame(FrameType.ERROR, error, { stream: this.#stream }));
    // A result that nobody takes is let go, with what it holds.
    this.onCancel?.();
  }

  /** The host wants nothing more. The stream stays open until the handler has settled: see `settle`. */
  cancel(): void {
    if (this.closed) return;
    this.#cancelled = true;
    this.#drop();
    this.onCancel?.();
    this.#awaken();
  }

  /** The handler has settled: frees the slot of a cancelled invocation. */
  settle(): void {
    if (!this.#ended) this.fail({ name: 'AbortError', message: 'the client left', stack: '' });
  }

  grant(bytes: number): void {
    this.#window += bytes;
    this.#awaken();
  }

  atTickEnd(): void {
    this.#deferred = false;
    if (this.closed) return;
    try {
      if (this.#head !== undefined) this.#sendHead(0);
      else if (this.#stagedBytes > 0) this.#sendStaged(0);
    } catch (error) {
      this.fail(toGuestError(error));
    }
  }

  async #writeLarge(chunk: Buffer): Promise<void> {
    this.atTickEnd();
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#window === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.closed) return;
      const slice = rest.subarray(0, Math.min(BODY_CHUNK_MAX, this.#window));
      rest = rest.subarray(slice.length);
      this.#window -= slice.length;
      this.#outlet.send(encodeHeader(FrameType.BODY, { length: slice.length, stream: this.#stream }));
      this.#outlet.send(slice);
    }
    // Now, so that the memory is the source's again when it is asked for more.
    this.#outlet.flush();
    if (this.#outlet.congestion > 0) await this.#outlet.drained();
  }

  #sendHead(flags: number): void {
    const meta = this.#head!;
    this.#head = undefined;
    const body = this.#takeStaged();
    const end = (flags & Flag.END) !== 0;
    if (!end && this.#bodyBytes > this.#declared) this.#tooLong();
    if (end) this.#beforeEnd();
    const frame = encodeMetaFrame(FrameType.RESPONSE, meta, body, { flags, stream: this.#stream, arg: end ? this.#elapsedUs() : 0 });
    if (frame.length - HEADER_BYTES > FRAME_PAYLOAD_MAX) {
      throw new BadResponse(`its headers have ${frame.length - HEADER_BYTES} bytes; at most ${FRAME_PAYLOAD_MAX} are allowed`);
    }
    this.#headSent = true;
    this.#ended = end;
    this.#outlet.send(frame);
  }

  #sendStaged(flags: number): void {
    const payload = this.#takeStaged();
    const end = (flags & Flag.END) !== 0;
    if (end) this.#beforeEnd();
    this.#ended = end;
    const options = { flags, stream: this.#stream, arg: end ? this.#elapsedUs() : 0 };
    this.#outlet.send(payload === undefined ? encodeFrame(FrameType.BODY, options) : encodeFrame(FrameType.BODY, { ...options, payload }));
  }

  #takeStaged(): Buffer | undefined {
    const staged = this.#staged;
    if (staged === undefined) return undefined;
    const body = this.#stagedMore === undefined ? staged : Buffer.concat([staged, ...this.#stagedMore], this.#stagedBytes);
    this.#window -= this.#stagedBytes;
    this.#unstage();
    return body;
  }

  #deferFlush(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.#outlet.defer(this);
  }

  /** The host sets the length of a body that it has whole; a wrong one of the function's would break the connection. */
  #correctLength(): void {
    const meta = this.#head!;
    if (Number.isNaN(this.#declared) || this.#declared === this.#bodyBytes) return;
    const headers: string[] = [];
    for (let i = 0; i < meta.headers.length; i += 2) {
      if (meta.headers[i]!.toLowerCase() !== 'content-length') headers.push(meta.headers[i]!, meta.headers[i + 1]!);
    }
    this.#head = { status: meta.status, headers };
  }

  #tooLong(): never {
    throw new BadResponse(`its content-length is ${this.#declared}, but its body has more bytes`);
  }

  #elapsedUs(): number {
    return Math.min(0xffff_ffff, Math.round((performance.now() - this.#receivedAt) * 1000));
  }

  #drop(): void {
    this.#head = undefined;
    this.#unstage();
  }

  #unstage(): void {
    this.#staged = undefined;
    this.#stagedMore = undefined;
    this.#stagedBytes = 0;
  }

  #awaken(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function contentLength(meta: ResponseMeta): number {
  for (let i = 0; i < meta.headers.length; i += 2) {
    const name = meta.headers[i]!;
    if (name.length === 14 && name.toLowerCase() === 'content-length') {
      const value = meta.headers[i + 1]!;
      if (!/^\d{1,15}$/.test(value)) throw new BadResponse(`its content-length '${value.slice(0, 40)}' is not a number of bytes`);
      return Number(value);
    }
  }
  return NaN;
}
