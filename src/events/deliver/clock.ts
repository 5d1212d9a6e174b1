// Time as the deliveries see it, passed in so that a test says what time it is. Used by all of events/deliver/.

export interface Clock {
  /** Unix ms. */
  now(): number;
  /** Answers how to call it off. */
  after(ms: number, run: () => void): () => void;
}

/** A timer that is set for longer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  after: (ms, run) => {
    const timer = setTimeout(run, Math.max(0, Math.min(ms, TIMER_MS_MAX)));
    return () => clearTimeout(timer);
  },
};
