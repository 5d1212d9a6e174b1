// The sink of calls that nobody streams: collects the answer up to a bound. A longer one is a failure, or is cut.
// Called by server/edge-private.ts and event-invoker.ts, which hold the payload.
import type { Call, CallSink } from '../functions/call.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import type { FlatHeaders } from '../protocol/frames.ts';

export class CollectedAnswer implements CallSink {
  call: Call | undefined;
  error: VirgaError | undefined;
  status = 0;
  headers: FlatHeaders = [];
  readonly #bytesMax: number;
  readonly #cut: boolean;
  /** There was more of the answer. */
  wasCut = false;
  readonly #payload: Buffer;
  #sent = 0;
  #allSent = false;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #resolve: () => void = () => {};
  /** Resolves when the answer is complete or has failed. */
  readonly done: Promise<void>;

  constructor(options: { payload: Buffer; bytesMax: number; cut?: true }) {
    this.#cut = options.cut ?? false;
    this.#payload = options.payload;
    this.#bytesMax = options.bytesMax;
    this.done = new Promise((resolve) => (this.#resolve = resolve));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get contentType(): string {
    for (let i = 0; i < this.headers.length; i += 2) if (this.headers[i]!.toLowerCase() === 'content-type') return this.headers[i + 1]!;
    return 'application/octet-stream';
  }

  bodyWanted(call: Call): void {
    // Credit comes for the last bytes too.
    while (!this.#allSent) {
      const slice = this.#payload.subarray(this.#sent, this.#sent + BODY_CHUNK_MAX);
      this.#sent += slice.length;
      this.#allSent = this.#sent >= this.#payload.length;
      if (!call.writeBody(slice, this.#allSent)) return;
    }
  }

  head(status: number, headers: FlatHeaders, body: Buffer, end: boolean): void {
    this.status = status;
    this.headers = headers;
    this.#take(body, end);
  }

  body(chunk: Buffer, end: boolean): void {
    this.#take(chunk, end);
  }

  failed(error: VirgaError): void {
    this.error ??= error;
    this.#resolve();
  }

  #take(chunk: Buffer, end: boolean): void {
    if (this.error !== undefined) return;
    if (this.#cut && this.#bytes + chunk.length > this.#bytesMax) {
      this.wasCut = true;
      this.#chunks.push(Buffer.from(chunk.subarray(0, this.#bytesMax - this.#bytes)));
      this.#bytes = this.#bytesMax;
      // The rest is heard to its end: the function is not stopped for what is not kept.
      this.call?.consumed(chunk.length);
      if (end) this.#resolve();
      return;
    }
    this.#bytes += chunk.length;
    if (this.#bytes > this.#bytesMax) {
      this.error = new VirgaError(
        'function_bad_response',
        `the answer is larger than the ${this.#bytesMax} bytes that a direct invocation returns (VIRGA_LIMIT_INVOKE_BYTES); call it over HTTP, where answers stream`,
      );
      this.#chunks.length = 0;
      if (!end) this.call?.abandon();
      this.#resolve();
      return;
    }
    // A payload is a view of a larger buffer that the socket reuses for no one else; copying keeps only what is needed.
    this.#chunks.push(Buffer.from(chunk));
    this.call?.consumed(chunk.length);
    if (end) this.#resolve();
  }
}
