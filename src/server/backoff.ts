// How long to wait before starting again something that ended unasked: 100 ms, doubling to 10 s; back to 100 ms once it
// has lived for a while. Called by role-process.ts and supervisor.ts.

const FIRST_MS = 100;
const LAST_MS = 10_000;
/** A life this long counts as healthy. */
const HEALTHY_MS = 2_000;

export class Backoff {
  readonly #now: () => number;
  #delayMs = FIRST_MS;
  #succeededAt: number | undefined;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#succeededAt = now();
  }

  /** It ended: how long to wait, ms. */
  next(): number {
    if (this.#succeededAt !== undefined && this.#now() - this.#succeededAt >= HEALTHY_MS) this.#delayMs = FIRST_MS;
    this.#succeededAt = undefined;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(LAST_MS, delayMs * 2);
    return delayMs;
  }

  /** It serves. */
  succeeded(): void {
    this.#succeededAt = this.#now();
  }
}
