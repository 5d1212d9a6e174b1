// `?since=`: a time or how long ago, as Unix ms. Times without a zone are refused rather than guessed at.
import { invalidRequest } from './problems.ts';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^([0-9]{1,9})(ms|s|m|h|d)$/;
const TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;

export function sinceMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  const duration = DURATION.exec(text);
  if (duration !== null) return Math.max(0, nowMs - Number(duration[1]) * UNIT_MS[duration[2] as keyof typeof UNIT_MS]);
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(time)) return time;
  const message = 'must be how long ago (90s, 10m, 2h, 7d) or an ISO 8601 time with its zone (2026-01-31T12:00:00Z)';
  throw invalidRequest([{ path: '?since', message, value: text.slice(0, 100) }]);
}
