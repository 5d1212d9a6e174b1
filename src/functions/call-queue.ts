// The calls of one version that wait: first those that came lately, then, while there is more than can be served in time,
// the late ones that were put behind them.
// Invariant: each call is in it at most once; taking one out anywhere costs the same however many wait; `size` and `bytes` are
// those of all that wait. Owned by version-pool.ts.
import type { Call } from './call.ts';

/** Calls in the order in which they came, linked, so that one whose client leaves goes without a search. */
class Line {
  #first: Link | undefined;
  #last: Link | undefined;
  size = 0;

  get first(): Call | undefined {
    return this.#first?.call;
  }

  push(link: Link): void {
    link.line = this;
    link.before = this.#last;
    link.after = undefined;
    if (this.#last === undefined) this.#first = link;
    else this.#last.after = link;
    this.#last = link;
    this.size++;
  }

  remove(link: Link): void {
    if (link.before === undefined) this.#first = link.after;
    else link.before.after = link.after;
    if (link.after === undefined) this.#last = link.before;
    else link.after.before = link.before;
    this.size--;
  }

  /** Appends everything of `other`, which is empty afterwards. */
  takeAll(other: Line): void {
    for (let link = other.#first; link !== undefined;) {
      const { after } = link;
      this.push(link);
      link = after;
    }
    other.#first = other.#last = undefined;
    other.size = 0;
  }

  *[Symbol.iterator](): Generator<Call> {
    for (let link = this.#first; link !== undefined; link = link.after) yield link.call;
  }
}

interface Link {
  call: Call;
  line: Line | undefined;
  before: Link | undefined;
  after: Link | undefined;
}

export class CallQueue {
  readonly #fresh = new Line();
  readonly #late = new Line();
  readonly #links = new Map<Call, Link>();
  #bytes = 0;
  /** What came lately is served first. */
  newestFirst = false;

  get size(): number {
    return this.#links.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of those, the ones that did not come too late to be served in time. */
  get fresh(): number {
    return this.#fresh.size;
  }

  /** Who has waited longest. */
  get oldest(): Call | undefined {
    return this.#late.first ?? this.#fresh.first;
  }

  /** Who has waited longest of the late ones. */
  get oldestLate(): Call | undefined {
    return this.#late.first;
  }

  push(call: Call): void {
    const link: Link = { call, line: undefined, before: undefined, after: undefined };
    this.#links.set(call, link);
    this.#fresh.push(link);
    this.#bytes += call.heldBytes;
  }

  /** Who is served next; it leaves the queue. */
  shift(): Call | undefined {
    const call = this.newestFirst ? (this.#fresh.first ?? this.#late.first) : this.oldest;
    if (call !== undefined) this.remove(call);
    return call;
  }

  /** False: it does not wait here. */
  remove(call: Call): boolean {
    const link = this.#links.get(call);
    if (link === undefined) return false;
    this.#links.delete(call);
    link.line!.remove(link);
    this.#bytes -= call.heldBytes;
    return true;
  }

  /** Everybody who waits now is late: whoever comes from now on may be served before them. */
  allLate(): void {
    this.#late.takeAll(this.#fresh);
  }

  /** The first `count` in the order of their coming. */
  first(count: number): Call[] {
    const calls: Call[] = [];
    for (const line of [this.#late, this.#fresh]) {
      for (const call of line) {
        if (calls.length >= count) return calls;
        calls.push(call);
      }
    }
    return calls;
  }
}
