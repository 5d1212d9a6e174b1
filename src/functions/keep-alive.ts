// How long an idle instance is kept, and when one is started ahead of the next call.
// Kept: as long as nearly all idle times of its function last, but not longer than a cold start is worth (ski rental: rent
// until the rent has cost as much as buying, and no idle time costs more than twice the best choice), and never longer than
// the function's `idle` setting, the user's maximum.
// Invariant: 0 ≤ keep ≤ idle; a warm-up begins before the call that is expected and ends after it, or there is none. Pure.
// Caller: version-pool.ts through habits.ts.
import type { IdleTimes } from './idle-times.ts';

export interface KeepAlive {
  /** From the end of its last call, ms. */
  keepMs: number;
  /** Start an instance `startMs` after the last call, unless there is one, and keep it until `untilMs` after the last call. */
  warmUp: { startMs: number; untilMs: number } | undefined;
}

export interface KeepAliveQuestion {
  idleTimes: IdleTimes;
  /** The user's maximum, ms. */
  idleMs: number;
  /** What a cold start costs, ms, and how much of it the code's own loading takes. */
  coldMs: number;
  initMs: number;
  /** What an idle instance holds, MiB. */
  heldMiB: number;
}

/**
 * One millisecond that somebody waits for a cold start is worth holding 1 GiB for a second. A light function (5 ms, 45 MiB) is
 * then kept for 2 minutes, one that starts in 500 ms and holds 200 MiB for 44. By the price of a cloud's CPU against its
 * memory (1 vCPU as 9 GiB) it would be 1 s and 25 s: cheaper, and the cold start is the user's to bear.
 */
const MIB_MS_PER_COLD_MS = 1024 * 1000;
/** Fewer idle times say nothing yet. */
const OBSERVED_MIN = 10;
const KEEP_SHARE = 0.99;
const KEEP_MARGIN = 1.1;
/** Code that loads faster is not started ahead: a blank sandbox makes its first call quick already. */
const HEAVY_INIT_MS = 100;
/** A warm-up is done this much of the idle time ahead of the earliest expected call, and given up as much after the latest. */
const WARM_UP_MARGIN = 0.02;

export function keepAlive(q: KeepAliveQuestion): KeepAlive {
  const worthMs = (q.coldMs * MIB_MS_PER_COLD_MS) / Math.max(1, q.heldMiB);
  const usualMs = q.idleTimes.observed < OBSERVED_MIN ? Infinity : q.idleTimes.percentileMs(KEEP_SHARE) * KEEP_MARGIN;
  const keepMs = Math.min(q.idleMs, worthMs, usualMs);
  return { keepMs, warmUp: warmUpOf(q, Math.min(q.idleMs, worthMs)) };
}

function warmUpOf(q: KeepAliveQuestion, affordableMs: number): KeepAlive['warmUp'] {
  if (q.initMs <= HEAVY_INIT_MS) return undefined;
  const period = q.idleTimes.period();
  // It would still be there.
  if (period === undefined || period.latestMs <= affordableMs) return undefined;
  const marginMs = period.usualMs * WARM_UP_MARGIN;
  const startMs = Math.max(0, period.earliestMs - marginMs - q.coldMs);
  const untilMs = period.latestMs + marginMs;
  // What is held for a guess must not cost more than what it saves either.
  return untilMs - startMs <= affordableMs ? { startMs, untilMs } : undefined;
}
