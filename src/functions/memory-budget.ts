// The node's memory for sandboxes, as one sum: a sandbox that starts, runs, or may still grow counts with its limit; one that
// is stopped with what it holds, since it cannot grow.
// Invariant: used ≤ limitMiB and count ≤ sandboxesMax after every grant; nothing is given back twice by way of more than was
// taken. Pure. Owned by engine.ts.

/** What is written down of an instance beside its calls, by room.ts and version-pool.ts. */
export interface Accounts {
  /** What it counts with in the node's memory, MiB. */
  countedMiB: number;
  /** The eviction clock when it last ended a call. */
  usedAtClock: number;
  /** Processor time that was measured of it so far. */
  processorMs: number;
}

export class MemoryBudget {
  readonly limitMiB: number;
  readonly countMax: number;
  #usedMiB = 0;
  #count = 0;

  constructor(options: { limitMiB: number; sandboxesMax: number }) {
    this.limitMiB = options.limitMiB;
    this.countMax = options.sandboxesMax;
  }

  get usedMiB(): number {
    return this.#usedMiB;
  }

  get count(): number {
    return this.#count;
  }

  /** Takes the room of one more sandbox, if it is there. */
  take(mib: number): boolean {
    if (this.#count >= this.countMax || this.#usedMiB + mib > this.limitMiB) return false;
    this.#usedMiB += mib;
    this.#count++;
    return true;
  }

  /** A sandbox that counted with `mib` is gone. */
  give(mib: number): void {
    this.#usedMiB -= mib;
    this.#count--;
  }

  /** A sandbox counts with `to` from now on. False: there is no room for that; it counts as before. */
  change(from: number, to: number): boolean {
    if (to > from && this.#usedMiB + to - from > this.limitMiB) return false;
    this.#usedMiB += to - from;
    return true;
  }
}

/** Beside what it holds now: what the kernel may still charge to a stopped sandbox (socket buffers, page tables). */
const SLACK_MIB = 4;
const MIB = 1024 * 1024;

/** What a stopped instance counts with. */
export function heldMiB(limitMiB: number, heldBytes: number): number {
  return heldBytes <= 0 ? limitMiB : Math.min(limitMiB, Math.ceil(heldBytes / MIB) + SLACK_MIB);
}
