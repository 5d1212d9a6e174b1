// How long a function is usually idle: a histogram with log-spaced bins from 1 s to 4 h, each 1.25 times the one before, and
// the last few times as they were, for a period. Shorter times say nothing about keeping: no instance goes within a second.
// Invariant: counts are never negative and their sum is the number of times observed, halved now and then, so that a
// function's old habits fade; 45 numbers and a ring of eight, whatever is observed. Pure. Part of a function's habits.ts.

const FIRST_MS = 1_000;
const FACTOR = 1.25;
/** 1 s × 1.25^43 is 4 h 4 min; the last bin takes whatever is longer. */
const BINS = 44;
const LOG_FACTOR = Math.log(FACTOR);
const RECENT = 8;
/** Times that a period has to repeat before it is believed, and how far each may be from the middle one. */
const PERIOD_TIMES = 4;
const PERIOD_SPREAD = 0.05;

export interface Period {
  /** The middle of the last idle times, ms, and the extremes. */
  usualMs: number;
  earliestMs: number;
  latestMs: number;
}

export class IdleTimes {
  readonly #counts = new Float32Array(BINS + 1);
  readonly #recent: number[] = [];
  #total = 0;

  /** Idle times observed, older ones counting less. */
  get observed(): number {
    return this.#total;
  }

  observe(idleMs: number): void {
    if (idleMs < FIRST_MS) return;
    this.#counts[binOf(idleMs)]!++;
    this.#total++;
    this.#recent.push(idleMs);
    if (this.#recent.length > RECENT) this.#recent.shift();
  }

  /** Upper end of the bin in which the idle time lies that `share` of all do not exceed; Infinity: beyond 4 h. */
  percentileMs(share: number): number {
    let sum = 0;
    for (let bin = 0; bin < BINS; bin++) {
      sum += this.#counts[bin]!;
      if (sum > 0 && sum >= share * this.#total) return FIRST_MS * FACTOR ** (bin + 1);
    }
    return Infinity;
  }

  fade(): void {
    this.#total = 0;
    for (let bin = 0; bin <= BINS; bin++) this.#total += this.#counts[bin]! /= 2;
  }

  /** Set when nearly all idle times are of one length: the bins say that there is one, the last times which. */
  period(): Period | undefined {
    if (this.#recent.length < PERIOD_TIMES) return undefined;
    const times = this.#recent.toSorted((a, b) => a - b);
    const usualMs = times[times.length >> 1]!;
    const [earliestMs, latestMs] = [times[0]!, times.at(-1)!];
    if (earliestMs < usualMs * (1 - PERIOD_SPREAD) || latestMs > usualMs * (1 + PERIOD_SPREAD)) return undefined;
    // A burst of other times earlier on would show in the bins beside this one.
    const bin = binOf(usualMs);
    let near = 0;
    for (let at = Math.max(0, bin - 1); at <= Math.min(BINS, bin + 1); at++) near += this.#counts[at]!;
    return near >= 0.75 * this.#total ? { usualMs, earliestMs, latestMs } : undefined;
  }
}

function binOf(idleMs: number): number {
  return Math.min(BINS, Math.floor(Math.log(idleMs / FIRST_MS) / LOG_FACTOR));
}
