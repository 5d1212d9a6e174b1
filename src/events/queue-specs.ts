// Specs of queues that no project declares: dead letters, and the bounds of the queues behind triggers. Used by topology.ts and by whoever
// moves dead letters.
import type { QueueSpec } from './bus.ts';

/** Of the queue behind one trigger, subscription or function. */
export const INTERNAL_BOUNDS = { messagesMax: 1_000_000, bytesMax: 1_024 ** 3 } as const;

const DEAD_KEPT_MS = 14 * 86_400_000;

/** Where dead letters are kept that the project sends nowhere. */
export function deadLetterQueue(key: string): QueueSpec {
  return { key, fifo: false, retentionMs: DEAD_KEPT_MS, deduplicationMs: 0, receivesMax: 1_000_000, ...INTERNAL_BOUNDS, dead: null };
}
