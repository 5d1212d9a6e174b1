// Which names an address was resolved from, for one sandbox, for as long as that is to be believed.
// Invariant: at most ADDRESSES_MAX addresses with NAMES_MAX names each, the oldest forgotten first. Time is passed in.
// Caller: policy.ts.

/** Longer than most TTLs: programs keep an address for the life of their connection pool. */
const KEPT_MS_MIN = 5 * 60_000;
const KEPT_MS_MAX = 24 * 3_600_000;
const ADDRESSES_MAX = 1_000;
const NAMES_MAX = 16;

export class Pins {
  /** Address → name → until, ms. */
  readonly #addresses = new Map<string, Map<string, number>>();

  add(address: string, name: string, ttlS: number, nowMs: number): void {
    const names = this.#addresses.get(address) ?? new Map<string, number>();
    this.#addresses.delete(address);
    this.#addresses.set(address, names);
    names.delete(name);
    names.set(name, nowMs + Math.min(KEPT_MS_MAX, Math.max(KEPT_MS_MIN, ttlS * 1000)));
    forgetFirst(names, NAMES_MAX);
    forgetFirst(this.#addresses, ADDRESSES_MAX);
  }

  /** The latest first. */
  namesOf(address: string, nowMs: number): string[] {
    const names = this.#addresses.get(address);
    return names === undefined
      ? []
      : [...names]
          .filter(([, until]) => until > nowMs)
          .map(([name]) => name)
          .toReversed();
  }
}

function forgetFirst(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
