// Durations, sizes and rates as people write them in virga.yaml and after --since, to and from ms and MiB. Pure.
// Invariant: a number without a unit is refused where two units are usual (30 seconds or 30 ms?).

export const DURATION_PATTERN = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/;
export const SIZE_PATTERN = /^(\d+(?:\.\d+)?)\s*(MiB|GiB)$/;

export const RATE_PATTERN = /^(\d{1,9})\s*\/\s*(s|m|h|d)$/;

const DURATION_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_MIB: Record<string, number> = { MiB: 1, GiB: 1_024 };

/** `'30s'` → 30000, `'1.5m'` → 90000; undefined when it is not a duration. */
export function durationMs(text: string): number | undefined {
  const [, amount, unit] = DURATION_PATTERN.exec(text) ?? [];
  return amount === undefined ? undefined : Math.round(Number(amount) * DURATION_MS[unit as keyof typeof DURATION_MS]);
}

/** `'256 MiB'` → 256, `'1 GiB'` → 1024; undefined when it is not a size. */
export function sizeMiB(text: string): number | undefined {
  const [, amount, unit] = SIZE_PATTERN.exec(text) ?? [];
  return amount === undefined ? undefined : Math.round(Number(amount) * SIZE_MIB[unit!]!);
}

const BYTES: Record<string, number> = { B: 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 };

/** `'1 MiB'` → 1048576, `'512 KiB'` → 524288; undefined when it is not a size. */
export function bytesIn(text: string): number | undefined {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  return amount === undefined ? undefined : Math.round(Number(amount) * BYTES[unit!]!);
}

/** `'600/m'` → 600 in each 60000 ms; undefined when it is not a rate. */
export function rateOf(text: string): { count: number; perMs: number } | undefined {
  const [, count, unit] = RATE_PATTERN.exec(text) ?? [];
  return count === undefined || Number(count) === 0
    ? undefined
    : { count: Number(count), perMs: DURATION_MS[unit as keyof typeof DURATION_MS] };
}

/** The longest unit that leaves a whole number: 90000 → `90s`, 300000 → `5m`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0s';
  const unit = (['d', 'h', 'm', 's'] as const).find((one) => ms % DURATION_MS[one] === 0) ?? 'ms';
  return `${ms / DURATION_MS[unit]}${unit}`;
}

export function sizeText(mib: number): string {
  return mib >= 1_024 && mib % 1_024 === 0 ? `${mib / 1_024} GiB` : `${mib} MiB`;
}

/** Bytes for people: `812 B`, `2.1 KiB`, `17.4 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  for (const [index, unit] of ['KiB', 'MiB', 'GiB', 'TiB'].entries()) {
    const amount = bytes / 1_024 ** (index + 1);
    if (amount < 1_000 || unit === 'TiB') return `${amount < 10 ? amount.toFixed(1) : Math.round(amount)} ${unit}`;
  }
  return `${bytes} B`;
}
