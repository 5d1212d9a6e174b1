// When the function may send more of an answer that is being kept. What is kept is held anyway, so the function need not wait for a
// client that reads slowly, nor those who wait for the answer: up to AHEAD_BYTES_MAX it is granted more before the client has
// taken what there is. What is only passed on flows as fast as the client takes it. Invariant: each byte is granted once.
import type { Call } from '../../functions/call.ts';

/** Of one answer, in the memory of its connection: a client that reads nothing must not make the edge hold more. */
const AHEAD_BYTES_MAX = 1024 * 1024;

export class Pace {
  readonly #call: () => Pick<Call, 'consumed'> | undefined;
  /** Granted, though the client has not taken it. */
  #ahead = 0;
  /** With the client, not granted yet. */
  #behind = 0;

  constructor(call: () => Pick<Call, 'consumed'> | undefined) {
    this.#call = call;
  }

  /** These bytes are about to be sent to the client. */
  sending(bytes: number, isKept: boolean): void {
    if (isKept && this.#ahead + bytes <= AHEAD_BYTES_MAX) {
      this.#ahead += bytes;
      this.#grant(bytes);
    } else this.#behind += bytes;
  }

  /** The client has taken these. */
  taken(bytes: number): void {
    const known = Math.min(bytes, this.#ahead);
    this.#ahead -= known;
    this.#behind -= bytes - known;
    this.#grant(bytes - known);
  }

  /** These go to no client. */
  dropped(bytes: number): void {
    this.#grant(bytes);
  }

  /** The client takes nothing more: what it has left is not waited for. */
  clientLeft(): void {
    this.#grant(this.#behind);
    this.#behind = 0;
    this.#ahead = 0;
  }

  #grant(bytes: number): void {
    if (bytes > 0) this.#call()?.consumed(bytes);
  }
}
