// What is counted of usage plans, as it passes between the edge, the records and the control API.
// Invariant: `subject` is printable ASCII of at most SUBJECT_LENGTH_MAX characters, so that it can be stored and listed.

/** e.g. `key:k_4f2a…`, `jwt:alice`, `ip:203.0.113.7`. */
export const SUBJECT_LENGTH_MAX = 160;

export interface UsageCounter {
  project: string;
  subject: string;
  /** `2026-11-21`, or `2026-11` for a quota by month. */
  period: string;
  /** Which it was counted for last. */
  plan: string;
  used: number;
}

/** Calendar days and months in UTC. */
export function periodOf(per: 'day' | 'month', nowMs: number): { key: string; beginsMs: number; endsMs: number } {
  const at = new Date(nowMs);
  const [year, month] = [at.getUTCFullYear(), at.getUTCMonth()];
  const text = at.toISOString();
  if (per === 'month') return { key: text.slice(0, 7), beginsMs: Date.UTC(year, month), endsMs: Date.UTC(year, month + 1) };
  const beginsMs = Date.UTC(year, month, at.getUTCDate());
  return { key: text.slice(0, 10), beginsMs, endsMs: beginsMs + 86_400_000 };
}
