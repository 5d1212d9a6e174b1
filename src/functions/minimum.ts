// How many instances of a version are kept whether or not somebody calls: instances.min, more in its windows, one while a call
// is expected. Invariant: `now` is what holds since the last look(); a version without windows costs nothing to look at.
// Part of version-pool.ts.
import type { VersionSettings } from '../protocol/settings.ts';
import { InstanceWindows } from './instance-windows.ts';

export class Minimum {
  readonly #windows: InstanceWindows | undefined;
  #min: number;
  #untilUnixMs = 0;
  /** performance.now() */
  #expectedUntil = 0;

  constructor(instances: VersionSettings['instances']) {
    this.#windows = (instances.windows ?? []).length === 0 ? undefined : new InstanceWindows(instances);
    this.#min = instances.min;
  }

  /** It changes with the time of day. */
  get hasWindows(): boolean {
    return this.#windows !== undefined;
  }

  at(now: number): number {
    return Math.max(this.#min, now < this.#expectedUntil ? 1 : 0);
  }

  /** A call is expected until then (performance.now()). */
  expect(until: number): void {
    this.#expectedUntil = until;
  }

  /** True: it has changed. */
  look(unixMs: number): boolean {
    if (this.#windows === undefined || unixMs < this.#untilUnixMs) return false;
    const { min, untilUnixMs } = this.#windows.at(unixMs);
    const changed = min !== this.#min;
    this.#min = min;
    this.#untilUnixMs = untilUnixMs;
    return changed;
  }
}
