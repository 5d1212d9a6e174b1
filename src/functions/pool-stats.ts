// The instances of a version counted: by state for `virga status`, by slots for the start rule. Pure; called by version-pool.ts.
import type { Instance } from './instance.ts';

export interface PoolStats {
  starting: number;
  idle: number;
  busy: number;
  draining: number;
  queued: number;
  inFlight: number;
}

export interface WaitingStats {
  /** That wait for an instance. */
  calls: number;
  /** More room on this node would not help: all instances that it may have are there and busy, or its project runs as many calls as it may. */
  full: boolean;
}

/** Calls that live instances can take in all, and now. */
export function slotsOf(instances: Iterable<Instance>, concurrency: number): { slots: number; free: number } {
  let [slots, free] = [0, 0];
  for (const instance of instances) {
    if (instance.state !== 'live') continue;
    slots += concurrency;
    free += instance.freeSlots;
  }
  return { slots, free };
}

export function statsOf(instances: Iterable<Instance>, own: { starting: number; queued: number }): PoolStats {
  const stats: PoolStats = { ...own, idle: 0, busy: 0, draining: 0, inFlight: 0 };
  for (const { state, calls } of instances) {
    stats.inFlight += calls.size;
    if (state === 'draining') stats.draining++;
    else if (state === 'live' && calls.size === 0) stats.idle++;
    else if (state === 'live') stats.busy++;
  }
  return stats;
}
