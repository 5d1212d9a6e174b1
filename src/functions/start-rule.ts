// The start-or-wait rule of a pull queue: how many instances to start now for one version.
// Waiting is cheaper than starting while the instances that are there would clear the queue before a new one could help.
// Pure; version-pool.ts asks it on every enqueue and whenever a start ends.

export interface QueueSituation {
  /** Calls that wait. */
  queued: number;
  /** Slots of ready instances, free ones among them, and instances being started. */
  slots: number;
  freeSlots: number;
  starting: number;
  concurrency: number;
  /** Moving averages, ms. */
  serviceMs: number;
  startMs: number;
  /** How long the oldest call has waited, ms. */
  oldestWaitMs: number;
  /** Instances that may be started at most (maximum of the version, node budget). */
  allowed: number;
}

export function instancesToStart(s: QueueSituation): number {
  const uncovered = s.queued - s.freeSlots - s.starting * s.concurrency;
  if (uncovered <= 0 || s.allowed <= 0) return 0;
  if (s.slots === 0) return Math.min(s.allowed, Math.ceil(uncovered / s.concurrency));
  const drainMs = (s.queued / s.slots) * s.serviceMs;
  if (drainMs <= s.startMs && s.oldestWaitMs < s.startMs) return 0;
  // Only the part of the queue that would still be there when the new instances are ready.
  const useful = Math.ceil(uncovered * (1 - s.startMs / Math.max(drainMs, s.startMs)));
  return Math.min(s.allowed, Math.max(1, Math.ceil(useful / s.concurrency)));
}
