// Ids of invocations and log lines sort by time, so a time is a place in the primary key: `since` needs no index of its
// own. Invariant: every id made at or after `ms` sorts at or after `firstIdAt(prefix, ms)`. See lib/ids.ts.
import type { IdPrefix } from '../lib/ids.ts';

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** The smallest id of this prefix that could be made at `ms` (Unix). */
export function firstIdAt(prefix: IdPrefix, ms: number): string {
  let rest = Math.max(0, Math.floor(ms));
  let time = '';
  for (let i = 0; i < 10; i++) {
    time = DIGITS[rest % 32]! + time;
    rest = Math.floor(rest / 32);
  }
  return `${prefix}_${time}`;
}
