// How a partition goes on after failures: how many records the next call gets, after what wait, and when a record is given up. A batch
// that fails as a whole is halved until what fails is alone: only then its attempts count, so that a poison record takes none with it.
// Invariant: what it knows is only of the stretch that failed, and goes once that is behind. Pure but for `random`. Used by turns.ts.
import type { Retry } from '../topology.ts';

export interface NextTry {
  /** It was the last attempt: the record is to be skipped, or tried on where nothing may be skipped. */
  givenUp: boolean;
  delayMs: number;
}

export class Attempts {
  readonly #random: () => number;
  /** Records in one call at most, up to #until. */
  #narrow: number | undefined;
  #until = 0;
  /** Position of the record that failed for itself, 0: none; and how often in a row. */
  #suspect = 0;
  #failures = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Records that the next call may get, from `position` on. */
  size(batch: number): number {
    return Math.min(batch, this.#narrow ?? batch);
  }

  /** A call failed that had `count` records; `first` and `last` are positions. */
  failed({ first, last, count }: { first: number; last: number; count: number }, retry: Retry): NextTry {
    if (count === 1) return this.failedAlone(first, retry);
    [this.#narrow, this.#until] = [Math.ceil(count / 2), last];
    // Halving is no attempt of any one record, so the wait does not grow with it.
    return { givenUp: false, delayMs: backoffMs(1, retry, this.#random) };
  }

  /** The records before the one that failed, `count`, are to go without it. */
  before(count: number, position: number): void {
    [this.#narrow, this.#until] = [count, position];
  }

  /** A record failed of which it is known that it was that one: it was alone, or the function named it. */
  failedAlone(position: number, retry: Retry): NextTry {
    this.#failures = this.#suspect === position ? this.#failures + 1 : 1;
    this.#suspect = position;
    return { givenUp: this.#failures >= retry.attempts, delayMs: backoffMs(this.#failures, retry, this.#random) };
  }

  /** All up to `position` is behind. */
  passed(position: number): void {
    const found = this.#suspect !== 0 && position >= this.#suspect;
    if (found) [this.#suspect, this.#failures] = [0, 0];
    if (found || position >= this.#until) this.#narrow = undefined;
    // What failed is in the rest of the stretch.
    else if (this.#narrow !== undefined) this.#narrow = Math.ceil(this.#narrow / 2);
  }
}

/** Before the attempt after the `failures`-th: doubling, half of it left to chance. */
export function backoffMs(failures: number, { delayMs, maxDelayMs }: Pick<Retry, 'delayMs' | 'maxDelayMs'>, random: () => number): number {
  const full = Math.min(maxDelayMs, delayMs * 2 ** Math.min(30, failures - 1));
  return Math.round(full / 2 + (full / 2) * random());
}
