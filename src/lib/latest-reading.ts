// Readings of what others change meanwhile. Invariants: one at a time; whoever asks gets one that began after they asked, and all who ask while
// one is under way share the next. Used by server/deployments-feed.ts.

export class LatestReading {
  readonly #read: () => Promise<void>;
  #current: Promise<void> | undefined;
  /** Has not begun. */
  #next: Promise<void> | undefined;

  constructor(read: () => Promise<void>) {
    this.#read = read;
  }

  async anew(): Promise<void> {
    if (this.#next === undefined && this.#current === undefined) return this.#begin();
    this.#next ??= this.#current!
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const current = this.#read().finally(() => {
      if (this.#current === current) this.#current = undefined;
    });
    this.#current = current;
    return current;
  }
}
