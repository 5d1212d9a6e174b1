// Log records on their way to the host: one LOG frame each, under a token bucket of bytes a second (burst: ten times
// that). Invariant: a record costs no memory once `write` returns, unless the host is slow, and then at most
// CONGESTION_MAX; what is dropped is counted and said in a record of its own. Callers: console.ts,
// standard-streams.ts, context.ts, last-words.ts; serve.ts at the end of each invocation.
import { FrameType, HEADER_BYTES, LOG_LINE_MAX, LogLevel, encodeFrame } from '../../protocol/frames.ts';
import type { LogLevelName } from '../../protocol/frames.ts';
import type { Outlet } from './channel.ts';

/** Bytes that may wait for a slow host before records are dropped. */
const CONGESTION_MAX = 1024 * 1024;
const BURST_SECONDS = 10;
const CUT = '… (cut)';
const CUT_BYTES = Buffer.byteLength(CUT);

export class LogRecords {
  readonly #outlet: Outlet;
  #bytesPerSecond = 1024 * 1024;
  #tokens = this.#bytesPerSecond * BURST_SECONDS;
  #filledAt = 0;
  #droppedRecords = 0;
  #droppedBytes = 0;
  /** Whose records were dropped; 0 when they are of several invocations or of none. */
  #droppedStream = 0;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  limit(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#tokens = bytesPerSecond * BURST_SECONDS;
  }

  write(stream: number, level: LogLevelName, text: string): void {
    // No string has fewer UTF-8 bytes than UTF-16 units: a long one is cut before it is measured.
    const atMost = text.length > LOG_LINE_MAX ? text.slice(0, LOG_LINE_MAX) : text;
    const bytes = Math.min(LOG_LINE_MAX, Buffer.byteLength(atMost));
    if (!this.#take(bytes)) return this.#drop(stream, bytes);
    if (this.#droppedRecords > 0) this.reportDropped();
    const cut = atMost.length < text.length || (bytes === LOG_LINE_MAX && Buffer.byteLength(atMost) > LOG_LINE_MAX);
    this.#outlet.sendNow(cut ? cutFrame(stream, level, atMost) : textFrame(stream, level, atMost, bytes));
  }

  /** Says what was dropped since the last time. `stream`: only if it is of this invocation. */
  reportDropped(stream?: number): void {
    if (this.#droppedRecords === 0 || (stream !== undefined && stream !== this.#droppedStream)) return;
    const text = `${this.#droppedRecords} log records (${this.#droppedBytes} bytes) dropped: over the limit of ${this.#bytesPerSecond} bytes a second`;
    const to = this.#droppedStream;
    this.#droppedRecords = 0;
    this.#droppedBytes = 0;
    this.#outlet.sendNow(textFrame(to, 'warn', text, Buffer.byteLength(text)));
  }

  #take(bytes: number): boolean {
    if (this.#outlet.congestion > CONGESTION_MAX) return false;
    const now = performance.now();
    const filled = this.#tokens + ((now - this.#filledAt) / 1000) * this.#bytesPerSecond;
    this.#filledAt = now;
    // An empty record costs something too.
    const cost = bytes + HEADER_BYTES;
    this.#tokens = Math.min(filled, this.#bytesPerSecond * BURST_SECONDS);
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }

  #drop(stream: number, bytes: number): void {
    this.#droppedStream = this.#droppedRecords === 0 || this.#droppedStream === stream ? stream : 0;
    this.#droppedRecords++;
    this.#droppedBytes += bytes;
  }
}

function textFrame(stream: number, level: LogLevelName, text: string, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(bytes);
  payload.write(text);
  return encodeFrame(FrameType.LOG, { stream, arg: LogLevel[level], payload });
}

function cutFrame(stream: number, level: LogLevelName, text: string): Buffer {
  const all = Buffer.from(text);
  let end = Math.min(all.length, LOG_LINE_MAX - CUT_BYTES);
  // Never in the middle of a character: its later bytes are 10xxxxxx.
  while (end > 0 && (all[end]! & 0xc0) === 0x80) end--;
  return encodeFrame(FrameType.LOG, { stream, arg: LogLevel[level], payload: Buffer.concat([all.subarray(0, end), Buffer.from(CUT)]) });
}
