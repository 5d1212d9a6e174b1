// Token buckets as GCRA: of each bucket one number is kept, the time at which it will be full again. Sets of buckets share
// one bound and one list, the bucket that was asked for last in front:
//
//   newest ⇄ bucket ⇄ bucket ⇄ … ⇄ oldest        each bucket is also in the Map of its set, by key
//
// Invariant: never more buckets than the bound, and at most burst + rate × t requests pass in any time t as long as a bucket
// is not evicted; what is full again, and so remembers nothing, goes first. No timers; time is passed in (ms, monotonic).
export interface Rate {
  /** Between two requests at the even rate, ms. */
  everyMs: number;
  burst: number;
}

export interface Bucket {
  readonly key: string;
  readonly set: BucketSet;
  /** When it is full again; in the past: it is full. */
  fullAtMs: number;
  newer: Bucket | undefined;
  older: Bucket | undefined;
}

/** How many of the oldest are looked at to find the fullest. */
const CANDIDATES = 8;
/** Full ones of the oldest that go with each new one, so that a quiet time gives the memory back. */
const SWEPT_AT_ONCE = 2;
/** A request's worth less this part of it is a request's worth. It does not add up: what was spent early is not forgotten. */
const ROUNDING = 1e-6;

/** The buckets of one rule. */
export class BucketSet {
  readonly rate: Rate;
  readonly #all: Buckets;
  readonly byKey = new Map<string, Bucket>();

  constructor(all: Buckets, rate: Rate) {
    this.#all = all;
    this.rate = rate;
  }

  /** The bucket of this key, a full one if there was none. */
  take(key: string, nowMs: number): Bucket {
    const found = this.byKey.get(key);
    if (found !== undefined) {
      this.#all.touch(found);
      return found;
    }
    return this.#all.make(this, key, nowMs);
  }

  /** How long until one more request may pass, ms; 0: it may now. */
  waitMs(bucket: Bucket, nowMs: number): number {
    const { everyMs, burst } = this.rate;
    const waitMs = bucket.fullAtMs - nowMs - everyMs * (burst - 1);
    return waitMs > everyMs * ROUNDING ? waitMs : 0;
  }

  spend(bucket: Bucket, nowMs: number): void {
    bucket.fullAtMs = Math.max(bucket.fullAtMs, nowMs) + this.rate.everyMs;
  }

  /** Requests that may pass at once. A bucket that does not exist is full. */
  left(key: string, nowMs: number): number {
    const { everyMs, burst } = this.rate;
    const missingMs = (this.byKey.get(key)?.fullAtMs ?? 0) - nowMs;
    return missingMs <= 0 ? burst : Math.max(0, Math.floor(burst - missingMs / everyMs + ROUNDING));
  }

  /** Until one more than now may pass, ms; 0: it is full. */
  moreInMs(key: string, nowMs: number): number {
    const { everyMs, burst } = this.rate;
    const missingMs = (this.byKey.get(key)?.fullAtMs ?? 0) - nowMs;
    return missingMs <= 0 ? 0 : missingMs - everyMs * (burst - this.left(key, nowMs) - 1);
  }
}

export class Buckets {
  readonly #bucketsMax: number;
  /** Held by the stages that ask them and by their own buckets: a rule that is gone leaves nothing behind. */
  readonly #sets = new Map<string, WeakRef<BucketSet>>();
  readonly #gone = new FinalizationRegistry<string>((id) => {
    if (this.#sets.get(id)?.deref() === undefined) this.#sets.delete(id);
  });
  #size = 0;
  #newest: Bucket | undefined;
  #oldest: Bucket | undefined;

  constructor(bucketsMax: number) {
    this.#bucketsMax = bucketsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** The one set with this id: its buckets stay over deployments that do not change the rule. */
  set(id: string, rate: Rate): BucketSet {
    const known = this.#sets.get(id)?.deref();
    if (known !== undefined) return known;
    const set = new BucketSet(this, rate);
    this.#sets.set(id, new WeakRef(set));
    this.#gone.register(set, id);
    return set;
  }

  make(set: BucketSet, key: string, nowMs: number): Bucket {
    for (let i = 0; i < SWEPT_AT_ONCE && this.#oldest !== undefined && this.#oldest.fullAtMs <= nowMs; i++) this.#remove(this.#oldest);
    if (this.#size >= this.#bucketsMax) this.#remove(this.#fullestOfTheOldest()!);
    const bucket: Bucket = { key, set, fullAtMs: 0, newer: undefined, older: undefined };
    set.byKey.set(key, bucket);
    this.#size++;
    this.#putFirst(bucket);
    return bucket;
  }

  touch(bucket: Bucket): void {
    if (bucket === this.#newest) return;
    this.#takeOut(bucket);
    this.#putFirst(bucket);
  }

  /** Who is held back now, and asks all the time, is among the newest and keeps its bucket. */
  #fullestOfTheOldest(): Bucket | undefined {
    let best = this.#oldest;
    let at = best?.newer;
    for (let i = 1; i < CANDIDATES && at !== undefined; i++, at = at.newer) if (at.fullAtMs < best!.fullAtMs) best = at;
    return best;
  }

  #remove(bucket: Bucket): void {
    this.#takeOut(bucket);
    this.#size--;
    bucket.set.byKey.delete(bucket.key);
  }

  #takeOut(bucket: Bucket): void {
    if (bucket.newer === undefined) this.#newest = bucket.older;
    else bucket.newer.older = bucket.older;
    if (bucket.older === undefined) this.#oldest = bucket.newer;
    else bucket.older.newer = bucket.newer;
    bucket.newer = bucket.older = undefined;
  }

  #putFirst(bucket: Bucket): void {
    bucket.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = bucket;
    this.#newest = bucket;
    this.#oldest ??= bucket;
  }
}

/** e.g. for 600 in 60,000 ms and a burst of 600. */
export function rateFrom(rate: { count: number; perMs: number }, burst: number | undefined): Rate {
  return { everyMs: rate.perMs / rate.count, burst: burst ?? rate.count };
}
