// Tells a queue that a burst has filled, and that will be empty soon, from one that stands because more comes than can be
// served (after CoDel): overload is when, during some whole intervals, more waited than can be served within the target, and more
// came than went. While it lasts only so many may join as can be served within the target, those that waited before are put
// behind them, and go when they have waited too long; what is refused is told when to come again.
//
//   calm ──(whole intervals above the target, more coming than going)──▶ overloaded
//     ◀──(less comes than goes, or nobody waited for a while)──┘
//
// Invariant: a queue whose instances are only being started is never overloaded; retryAfterS ≥ 1. Pure: times are passed in.
// Caller: version-pool.ts.

/** Shortest interval, ms; for slow handlers it is as long as a call, since less says nothing. */
const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 5_000;
/** What may stand at least, and in multiples of a call's time, ms. */
const TARGET_MS_MIN = 100;
const TARGET_IN_CALLS = 4;
/** So many may wait in any case if they are served within this time: a few dozen clients that wait for their answers are no flood. */
const FEW_CALLS = 64;
const FEW_MS = 1_000;
/** Intervals in a row in which it looked like overload: clients that all begin at once look so in the first. */
const INTERVALS_MIN = 3;
/** A queue that is so many times longer than what may wait is a flood in the first. */
const FLOOD_IN_ROOMS = 4;
/** A late call has at least this long before it is given up, and as many times the target. */
const LATE_MS_MIN = 1_000;
const LATE_IN_TARGETS = 2;
const RETRY_AFTER_S_MAX = 60;
const RATE_WEIGHT = 0.3;
const GROWTH = 1.05;
const GROWTH_CALLS = 2;
const SHRINKAGE = 0.95;

export interface QueueTimes {
  serviceMs: number;
  timeoutMs: number;
}

export class QueueControl {
  overloaded = false;
  #intervalFrom = -1;
  #arrived = 0;
  #served = 0;
  #shortest = 0;
  #inRow = 0;
  /** Calls served a ms while others waited; 0: not known yet. */
  #ratePerMs = 0;
  #targetMs = TARGET_MS_MIN;

  /** A call has come, whether it joins the queue or is refused. */
  arrived(): void {
    this.#arrived++;
  }

  /** A call that waited was handed over: `queued` wait still. */
  served(queued: number): void {
    this.#served++;
    if (queued < this.#shortest) this.#shortest = queued;
  }

  /** To be asked while calls wait. `ready`: there are instances, and no more are being started. True: overload has begun now. */
  look(now: number, queued: number, times: QueueTimes, ready: boolean): boolean {
    const intervalMs = Math.max(INTERVAL_MS_MIN, Math.min(times.serviceMs, INTERVAL_MS_MAX));
    const lasted = now - this.#intervalFrom;
    if (this.#intervalFrom < 0 || lasted > 4 * intervalMs + INTERVAL_MS_MIN) {
      // The first look, or the first after a calm: what lies before is not an interval in which calls waited.
      this.#begin(now, queued);
      this.overloaded = false;
      this.#inRow = 0;
      return false;
    }
    if (lasted < intervalMs) return false;
    if (this.#served === 0 && lasted < INTERVAL_MS_MAX) return false;
    const rate = this.#served / lasted;
    this.#ratePerMs = this.#ratePerMs === 0 ? rate : this.#ratePerMs + RATE_WEIGHT * (rate - this.#ratePerMs);
    this.#targetMs = Math.min(Math.max(TARGET_MS_MIN, TARGET_IN_CALLS * times.serviceMs), times.timeoutMs / 2);
    const before = this.overloaded;
    const stands = this.#shortest > this.roomWhileOverloaded;
    // Clients that wait for an answer before they ask again come as fast as they are served: their queue does not grow.
    const grows = this.#arrived > this.#served * GROWTH + GROWTH_CALLS;
    this.#inRow = stands && grows ? this.#inRow + 1 : 0;
    const flooded = this.#inRow >= INTERVALS_MIN || (this.#inRow > 0 && queued > FLOOD_IN_ROOMS * this.roomWhileOverloaded);
    this.overloaded = ready && (before ? this.#arrived > this.#served * SHRINKAGE : flooded);
    this.#begin(now, queued);
    return this.overloaded && !before;
  }

  /** How many may wait while overloaded: what is served within the target, and a few dozen if that takes no second. */
  get roomWhileOverloaded(): number {
    const few = Math.min(FEW_CALLS, FEW_MS * this.#ratePerMs);
    return Math.max(1, Math.ceil(Math.max(few, this.#targetMs * this.#ratePerMs)));
  }

  /** A late call that has waited longer is given up while overloaded. */
  get lateMsMax(): number {
    return Math.max(LATE_MS_MIN, LATE_IN_TARGETS * this.#targetMs);
  }

  /** When those that wait now will have been served, in whole seconds. */
  retryAfterS(queued: number): number {
    if (this.#ratePerMs <= 0) return 1;
    return Math.min(RETRY_AFTER_S_MAX, Math.max(1, Math.ceil(queued / this.#ratePerMs / 1000)));
  }

  #begin(now: number, queued: number): void {
    this.#intervalFrom = now;
    this.#arrived = 0;
    this.#served = 0;
    this.#shortest = queued;
  }
}
