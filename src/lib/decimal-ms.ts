// Milliseconds as decimal text with µs, e.g. `12.034`, from integers: turning a double into text takes several times as long.
// Pure. Called on the hot path, by the gateway's Server-Timing and the recorder's rows.

const THREE_DIGITS = Array.from({ length: 1000 }, (_, n) => String(n).padStart(3, '0'));

/** `n` from 0 to 999. */
export function threeDigits(n: number): string {
  return THREE_DIGITS[n]!;
}

/** `ms` from 0 to 1e12; what is smaller than a µs is rounded. */
export function decimalMs(ms: number): string {
  const us = Math.round(ms * 1000);
  const whole = Math.floor(us / 1000);
  const rest = us - whole * 1000;
  return rest === 0 ? String(whole) : `${whole}.${THREE_DIGITS[rest]!}`;
}
