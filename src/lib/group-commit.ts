// Calls that come together leave together: while one batch is on its way to Postgres the next gathers, so that what is done in a
// second is bounded by the disk and not by round trips.
//
//   add() ─▶ waiting, in order ─▶ (nothing is on its way) ─▶ at most itemsMax and bytesMax of it ─▶ run() ─▶ each its own outcome
//
// Invariants: one batch at a time, in the order of the calls; what is on its way is bounded; each call gets its own outcome.

export type Outcome<R> = { value: R } | { error: unknown };

export interface GroupCommitOptions<I, R> {
  /** One outcome for each, in order. A rejection is the outcome of all. */
  run: (items: I[]) => Promise<Outcome<R>[]>;
  /** What one counts for against the bounds. */
  weigh: (item: I) => { items: number; bytes: number };
  itemsMax: number;
  bytesMax: number;
}

interface Waiting<I, R> {
  item: I;
  resolve: (value: R) => void;
  reject: (error: unknown) => void;
}

export class GroupCommit<I, R> {
  readonly #options: GroupCommitOptions<I, R>;
  #waiting: Waiting<I, R>[] = [];
  #running: Promise<void> | undefined;

  constructor(options: GroupCommitOptions<I, R>) {
    this.#options = options;
  }

  add(item: I): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    this.#waiting.push({ item, resolve, reject });
    this.#running ??= this.#drain().finally(() => (this.#running = undefined));
    return promise;
  }

  /** Resolves when nothing waits and nothing is on its way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #drain(): Promise<void> {
    // What comes in the same turn of the event loop goes with it.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        const outcomes = await this.#options.run(batch.map(({ item }) => item));
        for (const [i, { resolve, reject }] of batch.entries()) {
          const outcome = outcomes[i] ?? { error: new Error('a call of a batch has no outcome') };
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.value);
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** At least one, whatever it weighs. */
  #take(): Waiting<I, R>[] {
    let items = 0;
    let bytes = 0;
    let count = 0;
    for (const { item } of this.#waiting) {
      const weight = this.#options.weigh(item);
      if (count > 0 && (items + weight.items > this.#options.itemsMax || bytes + weight.bytes > this.#options.bytesMax)) break;
      items += weight.items;
      bytes += weight.bytes;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
