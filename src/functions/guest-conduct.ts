// What a guest may send, and how fast: the checks that a malformed or hostile guest fails. A breach throws, and instance.ts
// ends the instance; mere haste is no breach and is read more slowly instead, so that a function which writes a million tiny
// frames delays itself and not the edge.
// Invariant: nothing in the edge grows beyond the credit that it gave, whatever a guest sends or does not read.
// Owned by instance.ts.
import type { Duplex } from 'node:stream';
import { BODY_CHUNK_MAX, CREDIT_WINDOW, Flag, FrameType, decodeMeta } from '../protocol/frames.ts';
import type { Frame, ResponseMeta } from '../protocol/frames.ts';
import type { Call } from './call.ts';

/** Frames a second, and at once, that neither begin nor end an answer nor carry much of one. At 4 µs each (a log line) a tenth of a CPU. */
const UNPAID_PER_MS = 20;
const UNPAID_AT_ONCE = 50_000;
const MUCH_BYTES = 1024;
/** Of a request to the node: so many cost the edge what a frame does, since they are parsed, checked and stored. */
const SERVICE_BYTES = 512;
/** Of answers to such requests; a guest that is busy for a while leaves some. */
const ANSWERS_UNREAD_MAX = 32 * 1024 * 1024;
/** Heads of requests may wait in the channel beside the bodies' windows. */
const HEAD_BYTES = 128 * 1024;

export class Conduct {
  readonly #channel: Duplex;
  readonly #unreadMax: number;
  #tokens = UNPAID_AT_ONCE;
  #at = 0;
  #unpaid = 0;

  constructor(channel: Duplex, concurrency: number) {
    this.#channel = channel;
    this.#unreadMax = (concurrency + 1) * (CREDIT_WINDOW + HEAD_BYTES);
  }

  /** Before each frame. */
  admit(frame: Frame, starting: boolean): void {
    const { type } = frame;
    if (!starting && (type === FrameType.HELLO || type === FrameType.READY || type === FrameType.FAILED)) {
      throw new Error(`a frame of type ${type} after it was ready`);
    }
    const paid = type === FrameType.RESPONSE || (frame.flags & Flag.END) !== 0;
    if (type === FrameType.SERVICE) this.#unpaid += 1 + frame.payload.length / SERVICE_BYTES;
    else if (!paid && !(type === FrameType.BODY && frame.payload.length >= MUCH_BYTES)) this.#unpaid++;
  }

  /** After each chunk: stops reading for as long as the guest was too fast. */
  pace(): void {
    if (this.#unpaid === 0) return;
    const now = performance.now();
    this.#tokens = Math.min(UNPAID_AT_ONCE, this.#tokens + (now - this.#at) * UNPAID_PER_MS) - this.#unpaid;
    this.#at = now;
    this.#unpaid = 0;
    if (this.#tokens >= 0) return;
    this.#channel.pause();
    setTimeout(() => this.#channel.resume(), -this.#tokens / UNPAID_PER_MS).unref();
  }

  /** Before the answer to a request to the node: whether it may be kept for the guest. */
  get readsAnswers(): boolean {
    return this.#channel.writableLength <= this.#unreadMax + ANSWERS_UNREAD_MAX;
  }

  /** Bytes of an answer came in. */
  answered(call: Call, bytes: number): void {
    call.receiveWindow -= bytes;
    if (call.receiveWindow < 0) throw new Error('more of an answer than it had credit for');
  }

  /** Throws when it is no answer that could be passed on. */
  response(call: Call, payload: Buffer): { meta: ResponseMeta; body: Buffer } {
    const { meta, body } = decodeMeta<ResponseMeta>(payload);
    const status = meta.status;
    const switches = status === 101 && call.request.upgrade === true;
    if ((!switches && (!Number.isInteger(status) || status < 200 || status > 599)) || !Array.isArray(meta.headers)) {
      throw new Error(`a RESPONSE with status ${String(status)}`);
    }
    this.answered(call, body.length);
    return { meta, body };
  }

  /** The guest says that it has consumed some of a request. True: more may be sent now, which could not before. */
  granted(call: Call, bytes: number): boolean {
    // What still waits here it cannot have read.
    if (this.#channel.writableLength > this.#unreadMax) throw new Error('credit for bytes that it has not read');
    const before = call.sendWindow;
    call.sendWindow = Math.min(CREDIT_WINDOW, before + bytes);
    return before < BODY_CHUNK_MAX && call.sendWindow >= BODY_CHUNK_MAX;
  }
}
