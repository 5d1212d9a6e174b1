// How many instances of a version are kept ready at a time: instances.min, or more while a window of instances.windows is
// open. A window opens at each time of its cron expression, in its time zone, and stays open for its length in real time,
// also over a change to or from daylight saving time.
// Invariant: the answer holds until `untilUnixMs`, so nobody has to ask more often. Pure: the time is passed in.
// Caller: version-pool.ts.
import { CronTimes } from '../lib/cron.ts';
import type { VersionSettings } from '../protocol/settings.ts';

export interface Minimum {
  min: number;
  untilUnixMs: number;
}

/** A window opens this much ahead, so that its instances are ready when it is due. */
const AHEAD_MS = 3_000;
/** Also without a change the windows are looked at once a day. */
const LOOK_AGAIN_MS = 24 * 3_600_000;

export class InstanceWindows {
  readonly #instances: VersionSettings['instances'];
  readonly #times: CronTimes[];

  constructor(instances: VersionSettings['instances']) {
    this.#instances = instances;
    this.#times = (instances.windows ?? []).map(({ cron, timezone }) => new CronTimes(cron, timezone));
  }

  at(unixMs: number): Minimum {
    let { min } = this.#instances;
    let untilUnixMs = unixMs + LOOK_AGAIN_MS;
    for (const [i, window] of (this.#instances.windows ?? []).entries()) {
      // The first opening whose window is not over: it is open by now, or is the next to open.
      const opens = this.#times[i]!.next(unixMs - window.forMs);
      if (opens === undefined) continue;
      const open = opens - AHEAD_MS <= unixMs;
      if (open) min = Math.max(min, window.min);
      untilUnixMs = Math.min(untilUnixMs, open ? opens + window.forMs : opens - AHEAD_MS);
    }
    return { min: Math.min(min, this.#instances.max), untilUnixMs };
  }
}
