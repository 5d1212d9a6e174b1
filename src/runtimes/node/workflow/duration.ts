// Durations as functions write them: `'3d'`, `'1.5h'`, or ms. The same as in virga.yaml (lib/units.ts, which guests do not have).

const PATTERN = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/;
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export const DURATION_MS_MAX = 3_650 * UNIT_MS.d;

export function durationOf(value: unknown, what: string): number {
  const [, amount, unit] = typeof value === 'string' ? (PATTERN.exec(value.trim()) ?? []) : [];
  const ms = typeof value === 'number' ? value : amount === undefined ? NaN : Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (ms >= 0 && ms <= DURATION_MS_MAX) return Math.round(ms);
  const given = typeof value === 'string' ? `'${value.slice(0, 40)}'` : String(value);
  throw new TypeError(`${what} is ${given}; it must be a duration from 0s to 3650d, such as '30s', '2h' or '3d', or a number of ms`);
}
