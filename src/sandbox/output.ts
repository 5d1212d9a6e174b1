// What a sandbox writes to stdout and stderr: forwarded at a bounded rate, with the last words of stderr kept.
// Invariant: holds at most one chunk and the tail. Beyond the rate it stops reading, so the pipe fills and the writer
// waits: raw output costs the sandbox that makes it, never the node. After the end the rest of the pipe goes to the tail.
// Caller: child-sandbox.ts.
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { OutputSink } from './driver.ts';

export const OUTPUT_BYTES_PER_SECOND = 64 * 1024;
export const STDERR_TAIL_BYTES = 4 * 1024;
/** V8 says this before it aborts at its heap limit. */
const HEAP_LIMIT_WORDS = /JavaScript heap out of memory|FATAL ERROR:.*[Oo]ut of memory/;

export class Output {
  readonly #sink: OutputSink;
  readonly #streams: Readable[];
  #tail: Buffer = Buffer.alloc(0);
  #heapLimitHit = false;
  /** Bytes that may still be forwarded now; below zero after a chunk that was larger than what was left. */
  #allowance = OUTPUT_BYTES_PER_SECOND;
  #allowanceAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(streams: { stdout: Readable; stderr: Readable }, sink: OutputSink) {
    this.#sink = sink;
    this.#streams = [streams.stdout, streams.stderr];
    for (const stream of this.#streams) {
      const decoder = new StringDecoder('utf8');
      stream.on('data', (chunk: Buffer) => this.#take(chunk, decoder, stream === streams.stderr));
      stream.on('error', () => {});
    }
  }

  /** Reads what is left in the pipes. A process that escaped may hold them open: after `withinMs` they are closed. */
  async end(options: { withinMs: number }): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    const closed = Promise.all(
      this.#streams.map((stream) => new Promise<void>((resolve) => (stream.closed ? resolve() : stream.once('close', resolve)))),
    );
    const timer = setTimeout(() => {
      for (const stream of this.#streams) stream.destroy();
    }, options.withinMs);
    for (const stream of this.#streams) stream.resume();
    await closed;
    clearTimeout(timer);
  }

  get tail(): string {
    return this.#tail.toString('utf8');
  }

  get heapLimitHit(): boolean {
    return this.#heapLimitHit;
  }

  #take(chunk: Buffer, decoder: StringDecoder, isStderr: boolean): void {
    if (isStderr) {
      const window = Buffer.concat([this.#tail, chunk]);
      this.#heapLimitHit ||= HEAP_LIMIT_WORDS.test(window.toString('latin1'));
      this.#tail = Buffer.from(window.subarray(Math.max(0, window.length - STDERR_TAIL_BYTES)));
    }
    this.#refill();
    if (this.#ended && this.#allowance <= 0) return;
    this.#allowance -= chunk.length;
    const text = decoder.write(chunk);
    const welcome = text === '' || this.#sink.write(text);
    if (this.#ended) return;
    if (!welcome) {
      this.#pause();
      this.#sink.onceWelcome(() => this.#resumeWhenAllowed());
    } else if (this.#allowance <= 0) {
      this.#pause();
      this.#resumeWhenAllowed();
    }
  }

  #pause(): void {
    for (const stream of this.#streams) stream.pause();
  }

  #resumeWhenAllowed(): void {
    if (this.#ended) return;
    this.#refill();
    if (this.#allowance > 0) {
      for (const stream of this.#streams) stream.resume();
      return;
    }
    clearTimeout(this.#timer);
    // Until a sixteenth of a second's worth is there: waking for each byte would cost more than it forwards.
    const missing = OUTPUT_BYTES_PER_SECOND / 16 - this.#allowance;
    this.#timer = setTimeout(() => this.#resumeWhenAllowed(), (missing / OUTPUT_BYTES_PER_SECOND) * 1000);
  }

  #refill(): void {
    const now = performance.now();
    const earned = ((now - this.#allowanceAt) / 1000) * OUTPUT_BYTES_PER_SECOND;
    this.#allowance = Math.min(OUTPUT_BYTES_PER_SECOND, this.#allowance + earned);
    this.#allowanceAt = now;
  }
}
