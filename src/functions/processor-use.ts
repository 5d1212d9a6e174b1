// How much of a processor a call of one function keeps busy while it runs, measured: the time of its sandboxes, and what the
// platform itself spends on a call, against the time that calls ran. About 1: it computes, and more of them than there are
// processors only take turns; about 0: it waits, and more of them cost next to nothing.
// Invariant: 0 ≤ demand ≤ the machine's processors. While more wants to run than there are processors, calls take longer
// than they would alone, and the plain ratio shows too little. Then it is stretched by how crowded the processors are, but not
// beyond what the quickest call shows, which was hardly kept waiting. Pure.
// Caller: version-pool.ts.

/** What the platform spends on a call, in both of its ends, ms. Handlers that take no longer are held to compute. */
const PLATFORM_MS = 0.2;
const RAISE_WEIGHT = 0.5;
const LOWER_WEIGHT = 0.2;
/** Nothing ended meanwhile: calls that wait, perhaps for those that are not let in while they are held to compute. */
const STILL_WEIGHT = 0.5;
const MS_WEIGHT = 0.3;
const FIRST_BUSY_MS = 500;
/** Calls that take less on average wait for the edge's own event loop as well, which is not seen as crowding. */
const BRIEF_MS = 5;
/** Of fewer, on a crowded machine, even the quickest was kept waiting. */
const TELLING_CALLS = 30;
/** From one measurement to the next. */
const QUICKEST_GROWTH = 1.02;

export interface Measurement {
  /** Processor time of the sandboxes, ms; undefined: nobody counts it here. */
  processorMs: number | undefined;
  /** Time that calls ran, added up over calls, ms. */
  busyMs: number;
  /** Calls that ended. */
  calls: number;
  /** Time that the quickest of them took, ms; Infinity: none ended. */
  quickestMs: number;
  /** How many wanted to run for each processor, at least 1. */
  crowding: number;
}

export class ProcessorUse {
  readonly #processors: number;
  #demand: number | undefined;
  #msPerCall = PLATFORM_MS;
  #quickestMs = Infinity;
  #measurements = 0;
  #calls = 0;

  constructor(processors: number) {
    this.#processors = processors;
  }

  get known(): boolean {
    return this.#demand !== undefined;
  }

  /** Processors that one running call keeps busy. */
  get demand(): number {
    return this.#demand ?? 0;
  }

  /** Processor time of one call, ms. */
  get msPerCall(): number {
    return this.#msPerCall;
  }

  /** `busyMs` is more than a few milliseconds. */
  measured({ processorMs, busyMs, calls, quickestMs, crowding }: Measurement): void {
    const usedMs = (processorMs ?? 0) + PLATFORM_MS * calls;
    // Calls that have not ended may still be at their beginning, which computes.
    if (calls === 0 && this.#measurements === 0 && busyMs < FIRST_BUSY_MS) return;
    this.#measurements++;
    if (calls > 0) this.#msPerCall += (this.#quickestMs === Infinity ? 1 : MS_WEIGHT) * (usedMs / calls - this.#msPerCall);
    const plain = usedMs / busyMs;
    // Of late, not of all times: what was quick once may have changed.
    this.#quickestMs = Math.min(quickestMs, this.#quickestMs * QUICKEST_GROWTH);
    const alone = this.#msPerCall / this.#quickestMs;
    this.#calls += calls;
    const most = this.#calls < TELLING_CALLS ? Infinity : Math.max(plain, alone);
    const stretched = busyMs < BRIEF_MS * calls ? Math.max(plain, alone) : Math.min(most, plain * crowding);
    // The platform's part keeps no second processor busy.
    const seen = Math.min(this.#processors, Math.max(Math.min(1, stretched), (processorMs ?? 0) / busyMs));
    if (this.#demand === undefined) this.#demand = seen;
    else if (seen > this.#demand) this.#demand += RAISE_WEIGHT * (seen - this.#demand);
    else if (calls === 0) this.#demand += STILL_WEIGHT * (seen - this.#demand);
    else this.#demand += Math.max(LOWER_WEIGHT, 1 / this.#measurements) * (seen - this.#demand);
  }
}

/** Calls that are shorter take turns without anybody noticing; longer ones run beside each other, so that a short one is not behind them. */
const SHORT_MS = 20;
/** A handler that keeps 1.1 processors busy (its garbage collector's threads) still gets one instance for each. */
export const ROUNDING = 0.25;
/** Instances that are started of a function before anything is known of it. */
const UNKNOWN_MIN = 4;

/** What the calls of a function, with the rest of its project, may keep busy. */
export function demandMax(processors: number, serviceMs: number): number {
  return serviceMs < SHORT_MS ? processors : 2 * processors;
}

/** Instances beyond which more would only take turns. */
export function usefulInstances(use: ProcessorUse, options: { processors: number; serviceMs: number; concurrency: number }): number {
  const { processors, serviceMs, concurrency } = options;
  if (!use.known) return Math.max(UNKNOWN_MIN, 2 * processors);
  const calls = demandMax(processors, serviceMs) / Math.max(use.demand, 1e-6);
  return Math.max(1, Math.floor(calls / concurrency + ROUNDING));
}
