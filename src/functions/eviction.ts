// Which idle instance makes room: greedy-dual by size and frequency (GDSF). An instance is worth
// clock + calls × cold start / size; the least worth goes first, and the clock rises to what was given up, so that an
// instance that nobody calls any more falls behind whatever is used after it.
// Invariant: the clock never falls; of two instances used at the same time the one that is cheaper to bring back per MiB goes
// first. Pure. Callers: engine.ts holds the one clock, version-pool.ts stamps instances with it.

export interface Holding {
  /** The clock when it last ended a call. */
  usedAtClock: number;
  /** Calls of its function, older ones counting less. */
  frequency: number;
  /** What a cold start of it costs, ms. */
  coldMs: number;
  /** What it holds while idle, MiB. */
  heldMiB: number;
}

export class EvictionClock {
  #clock = 0;

  get now(): number {
    return this.#clock;
  }

  worth({ usedAtClock, frequency, coldMs, heldMiB }: Holding): number {
    return usedAtClock + (frequency * coldMs) / Math.max(1, heldMiB);
  }

  /** An instance of this worth was given up. */
  gaveUp(worth: number): void {
    if (worth > this.#clock) this.#clock = worth;
  }
}
