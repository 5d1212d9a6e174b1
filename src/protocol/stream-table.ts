// What is under way on a channel, found by its stream: a hash table with a fixed number of buckets whose entries are chained
// through the items themselves. Invariant: an item that was removed points at no other. Both ends of the protocol use it:
// functions/instance.ts for calls, runtimes/node/serve.ts for invocations.
//
// A Map lost, by its garbage: each time it makes room among deleted entries it leaves its old table behind, with all that was
// in it and a pointer to the new one. Once one such table has grown old, every later one is reached from it and survives the
// collections of the young: at 32 connections 12 of every 20 MB of calls that had long ended were copied and promoted, which
// was 10 % of the edge's time and its longest pauses.

const BUCKETS = 64;

export interface Streamed<T> {
  readonly stream: number;
  /** The table's own. */
  nextInTable: T | undefined;
}

export class StreamTable<T extends Streamed<T>> {
  readonly #buckets: (T | undefined)[] = Array.from({ length: BUCKETS }, () => undefined);
  #size = 0;
  #lastStream = 0;

  get size(): number {
    return this.#size;
  }

  get(stream: number): T | undefined {
    let item = this.#buckets[stream % BUCKETS];
    while (item !== undefined && item.stream !== stream) item = item.nextInTable;
    return item;
  }

  /** For an item to come: one that no item has, another one each time. */
  freeStream(): number {
    do this.#lastStream = this.#lastStream >= 0xffff_ffff ? 1 : this.#lastStream + 1;
    while (this.get(this.#lastStream) !== undefined);
    return this.#lastStream;
  }

  /** The caller has seen to it that no item of the same stream is there. */
  add(item: T): void {
    const at = item.stream % BUCKETS;
    item.nextInTable = this.#buckets[at];
    this.#buckets[at] = item;
    this.#size++;
  }

  delete(stream: number): void {
    const at = stream % BUCKETS;
    let before: T | undefined;
    for (let item = this.#buckets[at]; item !== undefined; before = item, item = item.nextInTable) {
      if (item.stream !== stream) continue;
      if (before === undefined) this.#buckets[at] = item.nextInTable;
      else before.nextInTable = item.nextInTable;
      item.nextInTable = undefined;
      this.#size--;
      return;
    }
  }

  /** What is there now, as a list of its own: the table may change while it is walked. */
  items(): T[] {
    const items: T[] = [];
    if (this.#size === 0) return items;
    for (const first of this.#buckets) for (let item = first; item !== undefined; item = item.nextInTable) items.push(item);
    return items;
  }
}
