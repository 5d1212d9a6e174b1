// Starts ahead of calls that come at regular times: when the last instance of a function is gone, and keep-alive.ts says that
// the next call can be told and that waiting for its cold start would cost more, one is started just before it.
// Invariant: at most one warm-up is planned for each function; none outlives close(). Owned by engine.ts.
import type { Habits } from './habits.ts';
import type { DeployedVersion } from './version.ts';

export interface WarmUpClock {
  /** As performance.now(). */
  now(): number;
  /** Calls back after `ms`, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void;
}

const CLOCK: WarmUpClock = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
};

export class WarmUps {
  readonly #clock: WarmUpClock;
  /** Starts an instance, if the version is still current and has none, and keeps it until `until` (as clock.now()). */
  readonly #start: (version: DeployedVersion, until: number) => void;
  readonly #planned = new Map<Habits, () => void>();

  constructor(start: (version: DeployedVersion, until: number) => void, clock: WarmUpClock = CLOCK) {
    this.#start = start;
    this.#clock = clock;
  }

  /** The version has no instance any more. */
  plan(version: DeployedVersion, habits: Habits): void {
    this.cancel(habits);
    const { warmUp } = habits.keepAlive(version.settings.idleMs, version.settings.memoryMiB);
    if (warmUp === undefined) return;
    const inMs = habits.quietSince + warmUp.startMs - this.#clock.now();
    // This call was expected already, and did not come.
    if (inMs <= 0) return;
    const cancel = this.#clock.after(inMs, () => {
      this.#planned.delete(habits);
      this.#start(version, habits.quietSince + warmUp.untilMs);
    });
    this.#planned.set(habits, cancel);
  }

  cancel(habits: Habits): void {
    this.#planned.get(habits)?.();
    this.#planned.delete(habits);
  }

  close(): void {
    for (const habits of [...this.#planned.keys()]) this.cancel(habits);
  }
}
