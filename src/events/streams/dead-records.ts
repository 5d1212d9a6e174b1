// What was given up of a stream: it becomes a dead letter of its trigger, as the event that the function was called with, so that it can be
// looked at and run again. Invariant: it is durable before the position passes it; after a crash in between it is there once, since
// its deduplication id is its place in the stream. Called by turn-work.ts.
import type { Bus, QueueSpec } from '../bus.ts';
import { batchEvent } from './batch-event.ts';
import type { BatchOf } from './batch-event.ts';

export interface PutAside extends BatchOf {
  /** Of the trigger. */
  queue: QueueSpec;
  error: string;
}

const DEDUPLICATION_MS = 86_400_000;
const ERROR_CHARACTERS_MAX = 1_024;

export async function putAside(bus: Pick<Bus, 'send'>, { queue, error, ...batch }: PutAside, nowMs: number): Promise<void> {
  if (queue.dead === null) return;
  const event = batchEvent(batch, nowMs);
  const dead: QueueSpec = { ...queue, key: queue.dead, dead: null, deduplicationMs: DEDUPLICATION_MS };
  const died = { from: queue.key, reason: 'rejected', error: error.slice(0, ERROR_CHARACTERS_MAX) } as const;
  const message = { id: batch.records[0]?.id ?? event.id, body: JSON.stringify(event), attributes: {}, deduplicationId: event.id, died };
  await bus.send([{ queue: dead, messages: [message] }]);
}
