// The body of a request as it arrives: complete in the first frame, or in chunks under credit.
// Invariant: at most CREDIT_WINDOW bytes wait here, because the host is granted more only as user code (or `readAll`)
// takes them. Fed by serve.ts; read by request.ts as a stream, by handler-call.ts as a whole, and
// by forms/web/proxy.ts chunk by chunk.
import { CREDIT_WINDOW, FrameType, encodeFrame } from '../../protocol/frames.ts';
import type { Outlet } from './channel.ts';

/** Granting in quarters of the window keeps the host sending at one small frame for 64 KiB. */
const GRANT_BYTES = CREDIT_WINDOW / 4;
const NOTHING = Buffer.alloc(0);

export class RequestBody {
  readonly #outlet: Outlet;
  readonly #stream: number;
  #chunks: Buffer[];
  #complete: boolean;
  #consumed = 0;
  #unwanted = false;
  #failure: unknown;
  #failed = false;
  #wake: (() => void) | undefined;

  constructor(outlet: Outlet, options: { stream: number; first: Buffer; complete: boolean }) {
    this.#outlet = outlet;
    this.#stream = options.stream;
    this.#chunks = options.first.length > 0 ? [options.first] : [];
    this.#complete = options.complete;
  }

  /** All of it, when it was complete in the first frame. */
  get whole(): Buffer | undefined {
    return this.#complete && this.#chunks.length <= 1 ? (this.#chunks[0] ?? NOTHING) : undefined;
  }

  push(chunk: Buffer, last: boolean): void {
    if (last) this.#complete = true;
    if (this.#unwanted || this.#failed) this.#grant(chunk.length);
    else if (chunk.length > 0) this.#chunks.push(chunk);
    this.#awaken();
  }

  /** The rest will not come (`reason`), or is not wanted because the invocation has ended (undefined). */
  fail(reason: unknown): void {
    if (this.#failed || (this.#complete && this.#chunks.length === 0)) return;
    this.#failed = true;
    this.#failure = reason ?? new DOMException('the invocation has ended', 'AbortError');
    this.#chunks = [];
    this.#awaken();
  }

  /** The next chunk when it is here, a promise of it when it is to come, undefined at the end. */
  take(): Buffer | undefined | Promise<Buffer | undefined> {
    const chunk = this.#failed ? undefined : this.#chunks.shift();
    if (chunk === undefined) return this.#failed || !this.#complete ? this.next() : undefined;
    this.#grant(chunk.length);
    return chunk;
  }

  async readAll(): Promise<Buffer> {
    const whole = this.whole;
    if (whole !== undefined) return whole;
    const chunks: Buffer[] = [];
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  toStream(): ReadableStream<Uint8Array> {
    return new ReadableStream(
      {
        type: 'bytes',
        pull: async (controller) => {
          const chunk = await this.next();
          if (chunk === undefined) {
            controller.close();
            // A reader that brought its own buffer is answered only by this.
            controller.byobRequest?.respond(0);
          }
          // A byte stream takes the memory of what it is given, so it gets a copy of its own.
          else controller.enqueue(new Uint8Array(chunk));
        },
        cancel: () => this.#refuse(),
      },
      { highWaterMark: 0 },
    );
  }

  /** The next chunk as it came; undefined: that was all. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#failed) throw this.#failure;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#grant(chunk.length);
        return chunk;
      }
      if (this.#complete) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #refuse(): void {
    if (this.#unwanted || this.#complete) return;
    this.#unwanted = true;
    for (const chunk of this.#chunks.splice(0)) this.#grant(chunk.length);
    this.#outlet.send(encodeFrame(FrameType.CANCEL, { stream: this.#stream }));
  }

  #grant(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < GRANT_BYTES || this.#complete) return;
    this.#outlet.send(encodeFrame(FrameType.CREDIT, { stream: this.#stream, arg: this.#consumed }));
    this.#consumed = 0;
  }

  #awaken(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
