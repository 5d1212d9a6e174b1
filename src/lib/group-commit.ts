// Calls that come together leave together: while one batch is on its way to Postgres the next gathers, so that what is done in a
// second is bounded by the disk and not by round trips.
//
//   add() ─▶ waiting, in order ─▶ (nothing is on its way) ─▶ at most itemsMax and bytesMax of it ─▶ run() ─▶ each its own outcome
//
// Invariants: one batch at a time, in the order of the calls; what is on its way is bounded, and what waits where that is
// asked for; each call gets its own outcome.

export type Outcome<R> = { value: R } | { error: unknown };

export interface GroupCommitOptions<I, R> {
  /** One outcome for each, in order. A rejection is the outcome of all. */
  run: (items: I[]) => Promise<Outcome<R>[]>;
  /** What one counts for against the bounds. */
  weigh: (item: I) => { items: number; bytes: number };
  itemsMax: number;
  bytesMax: number;
  /** Without it the callers alone bound what waits. */
  waiting?: WaitingBounds;
}

export interface WaitingBounds {
  /** Times what one batch may have. */
  batchesMax: number;
  /** ms that one waits for its batch to begin. */
  msMax: number;
  /** ms that passed, from wherever. */
  monotonic: () => number;
  /** What is said to whom there was no room, or no time, for. */
  refusal: (why: 'many' | 'late') => Error;
}

interface Waiting<I, R> {
  item: I;
  items: number;
  bytes: number;
  sinceMs: number;
  resolve: (value: R) => void;
  reject: (error: unknown) => void;
}

export class GroupCommit<I, R> {
  readonly #options: GroupCommitOptions<I, R>;
  #waiting: Waiting<I, R>[] = [];
  /** Of those that wait. */
  #items = 0;
  #bytes = 0;
  #running: Promise<void> | undefined;

  constructor(options: GroupCommitOptions<I, R>) {
    this.#options = options;
  }

  add(item: I): Promise<R> {
    const { weigh, waiting, itemsMax, bytesMax } = this.#options;
    const batchesMax = waiting?.batchesMax ?? Infinity;
    if (this.#items >= itemsMax * batchesMax || this.#bytes >= bytesMax * batchesMax) return Promise.reject(waiting!.refusal('many'));
    const { items, bytes } = weigh(item);
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    this.#waiting.push({ item, items, bytes, sinceMs: waiting?.monotonic() ?? 0, resolve, reject });
    this.#items += items;
    this.#bytes += bytes;
    this.#running ??= this.#drain();
    return promise;
  }

  /** Resolves when nothing waits and nothing is on its way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #drain(): Promise<void> {
    // What comes in the same turn of the event loop goes with it.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) await this.#runOne();
    // In the same step as the look above: who calls in the next microtask begins anew.
    this.#running = undefined;
  }

  async #runOne(): Promise<void> {
    const batch = this.#take();
    if (batch.length === 0) return;
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

  /** At least one, whatever it weighs; none, where all have waited too long. */
  #take(): Waiting<I, R>[] {
    const { itemsMax, bytesMax, waiting } = this.#options;
    if (waiting !== undefined) this.#refuse(waiting);
    let items = 0;
    let bytes = 0;
    let count = 0;
    for (const one of this.#waiting) {
      if (count > 0 && (items + one.items > itemsMax || bytes + one.bytes > bytesMax)) break;
      items += one.items;
      bytes += one.bytes;
      count++;
    }
    return this.#remove(count);
  }

  #refuse({ monotonic, msMax, refusal }: WaitingBounds): void {
    const before = monotonic() - msMax;
    const young = this.#waiting.findIndex(({ sinceMs }) => sinceMs >= before);
    for (const { reject } of this.#remove(young === -1 ? this.#waiting.length : young)) reject(refusal('late'));
  }

  #remove(count: number): Waiting<I, R>[] {
    const removed = this.#waiting.splice(0, count);
    for (const { items, bytes } of removed) {
      this.#items -= items;
      this.#bytes -= bytes;
    }
    return removed;
  }
}
