// What the clock on the wall of a time zone shows, by the zone data that Intl has. A wall time is written as the Unix ms that it would be
// in UTC: 02:30 on a wall in Madrid is Date.UTC(…, 2, 30).
// Invariant: firstAt() never goes back as the wall time goes on: what a change of the clock skips is when it changes, and what it repeats
// is the first time. Pure. Of two changes within a day only one would be seen; there is no such zone. Caller: cron.ts.

/** A wall is at most 14 hours off UTC. */
const AROUND_MS = 16 * 3_600_000;

export class ZoneClock {
  readonly #format: Intl.DateTimeFormat | undefined;

  constructor(timezone: string) {
    this.#format = timezone === 'UTC' ? undefined : new Intl.DateTimeFormat('en-US', { timeZone: timezone, timeZoneName: 'longOffset' });
  }

  wallAt(unixMs: number): number {
    return unixMs + this.offsetAt(unixMs);
  }

  /** ms east of UTC. */
  offsetAt(unixMs: number): number {
    if (this.#format === undefined) return 0;
    const [, sign, hours, minutes, seconds] = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(this.#format.format(unixMs)) ?? [];
    if (sign === undefined) return 0;
    const size = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds ?? 0)) * 1_000;
    return sign === '-' ? -size : size;
  }

  /** When the offset changes between these two, `from` itself left out; undefined: it does not. */
  changeIn(from: number, to: number): number | undefined {
    const before = this.offsetAt(from);
    if (this.offsetAt(to) === before) return undefined;
    let [same, other] = [from, to];
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.offsetAt(middle) === before) same = middle;
      else other = middle;
    }
    return other;
  }

  /** The first moment at which the wall shows this time, or a later one because it skips it. */
  firstAt(wallMs: number): number {
    const before = wallMs - this.offsetAt(wallMs - AROUND_MS);
    const change = this.changeIn(wallMs - AROUND_MS, wallMs + AROUND_MS);
    if (change === undefined || before < change) return before;
    return Math.max(change, wallMs - this.offsetAt(change));
  }

  /** The latest time that the wall has shown by now: later than now's in an hour that is repeated. */
  latestShown(unixMs: number): number {
    const shown = this.wallAt(unixMs);
    const change = this.changeIn(unixMs - 2 * AROUND_MS, unixMs);
    return change === undefined ? shown : Math.max(shown, change - 1 + this.offsetAt(change - 1));
  }
}
