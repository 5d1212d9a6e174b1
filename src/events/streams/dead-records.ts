// What was given up of a stream: it becomes a dead letter of its trigger, as the event that the function was called with, so that it can be
// looked at and run again. Invariants: it is durable before the position passes it; after a crash in between it is there once, since
// its deduplication id is its place in the stream; a queue that the project names for it stays what virga.yaml says. Called by turn-work.ts.
import { storableText } from '../../lib/storable-text.ts';
import type { Bus, NewMessage, QueueSpec } from '../bus.ts';
import { batchEvent } from './batch-event.ts';
import type { BatchOf } from './batch-event.ts';

export interface PutAside extends BatchOf {
  /** Of the trigger. */
  queue: QueueSpec;
  /** Where it goes. */
  dead: QueueSpec;
  error: string;
}

const ERROR_CHARACTERS_MAX = 1_024;

export async function putAside(bus: Pick<Bus, 'send' | 'find'>, { queue, dead, error, ...batch }: PutAside, nowMs: number): Promise<void> {
  const event = batchEvent(batch, nowMs);
  const died = { from: queue.key, reason: 'rejected', error: storableText(error, ERROR_CHARACTERS_MAX) } as const;
  const message: NewMessage = { id: batch.records[0]?.id ?? event.id, body: JSON.stringify(event), attributes: {}, died };
  const [results] = await bus.send([{ queue: dead, messages: [{ ...message, deduplicationId: event.id }] }]);
  const [sent] = results!;
  // Dropped or redriven since, and given up anew by a function that reads again.
  if (sent!.result === 'duplicate' && (await bus.find(dead.key, sent!.id)) === undefined)
    await bus.send([{ queue: dead, messages: [message] }]);
}
