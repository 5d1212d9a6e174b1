// How much of a processor a call of one function keeps busy while it runs, measured: the time of its sandboxes, and what the
// platform itself spends on a call, against the time that calls ran. About 1: it computes, and more of them than there are
// processors only take turns; about 0: it waits, and more of them cost next to nothing.
// Invariant: 0 ≤ demand ≤ the machine's processors. A measurement taken while the machine is busy shows less than the truth,
// since the calls wait for processors; so it may raise the estimate, but hardly lowers it. Pure.
// Caller: version-pool.ts.

/** What the platform spends on a call, in both of its ends, ms. Handlers that take no longer are held to compute. */
const PLATFORM_MS = 0.2;
const RAISE_WEIGHT = 0.5;
const LOWER_WEIGHT = 0.2;
const LOWER_WEIGHT_SATURATED = 0.02;
const MS_WEIGHT = 0.3;

export interface Measurement {
  /** Processor time of the sandboxes, ms; undefined: nobody counts it here. */
  processorMs: number | undefined;
  /** Time that calls ran, added up over calls, ms. */
  busyMs: number;
  /** Calls that ended. */
  calls: number;
  /** No processor was idle meanwhile. */
  saturated: boolean;
}

export class ProcessorUse {
  readonly #processors: number;
  #demand: number | undefined;
  #msPerCall = PLATFORM_MS;

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
  measured({ processorMs, busyMs, calls, saturated }: Measurement): void {
    const usedMs = (processorMs ?? 0) + PLATFORM_MS * calls;
    if (calls > 0) this.#msPerCall += MS_WEIGHT * (usedMs / calls - this.#msPerCall);
    // The platform's part keeps no second processor busy.
    const seen = Math.min(this.#processors, Math.max(Math.min(1, usedMs / busyMs), (processorMs ?? 0) / busyMs));
    if (this.#demand === undefined) this.#demand = seen;
    else if (seen > this.#demand) this.#demand += RAISE_WEIGHT * (seen - this.#demand);
    else this.#demand += (saturated ? LOWER_WEIGHT_SATURATED : LOWER_WEIGHT) * (seen - this.#demand);
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
