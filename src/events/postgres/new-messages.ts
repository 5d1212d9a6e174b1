// The messages of one call to send(), checked and weighed before anything is asked of Postgres.
// Invariant: what passes here is stored as it is: no character of it is changed or refused by Postgres, and no index is too narrow for it.
// Called by sends.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { NewMessage, QueueSpec, SendBatch } from '../bus.ts';

const CALL_MESSAGES_MAX = 20_000;
const CALL_BYTES_MAX = 64 * 1024 * 1024;
const NAME_BYTES_MAX = 1024;
const DELAY_MS_MAX = 10 * 366 * 86_400_000;

export interface Fresh {
  queue: QueueSpec;
  queueId: number;
  message: NewMessage;
  attributes: string;
  bytes: number;
  /** Of an earlier message with its deduplicationId. */
  duplicateOf: string | undefined;
}

export interface Send {
  batches: SendBatch[];
  messages: Fresh[];
  bytes: number;
}

export function isGrouped(queue: QueueSpec, message: NewMessage): boolean {
  return queue.fifo && message.group !== undefined;
}

export function isDeduplicated(queue: QueueSpec, message: NewMessage): boolean {
  return queue.deduplicationMs > 0 && message.deduplicationId !== undefined;
}

export function delayOf(message: NewMessage): number {
  return Math.max(0, Math.round(message.delayMs ?? 0));
}

export function prepare(batches: SendBatch[]): Send {
  const messages: Fresh[] = [];
  let total = 0;
  for (const { queue, messages: ofBatch } of batches) {
    for (const message of ofBatch) {
      const attributes = JSON.stringify(message.attributes);
      const bytes = Buffer.byteLength(message.body) + Buffer.byteLength(attributes);
      const { id, body, group, deduplicationId } = message;
      checkTexts('message', id, { id, body, group, deduplicationId, attributes }, { id, group, deduplicationId });
      if (!(delayOf(message) <= DELAY_MS_MAX)) {
        throw new VirgaError(
          'invalid_request',
          `the delay of ${message.delayMs} ms of the message ${JSON.stringify(id)} is longer than ten years`,
        );
      }
      total += bytes;
      messages.push({ queue, queueId: 0, message, attributes, bytes, duplicateOf: undefined });
    }
  }
  if (messages.length > CALL_MESSAGES_MAX || total > CALL_BYTES_MAX) {
    throw new VirgaError(
      'request_too_large',
      `${messages.length} messages of ${total} bytes are too many for one call: at most ${CALL_MESSAGES_MAX} of ${CALL_BYTES_MAX} bytes; send them in several`,
    );
  }
  return { batches, messages, bytes: total };
}

/** `names` are what indexes are made of. */
export function checkTexts(
  what: 'message' | 'record',
  id: string,
  texts: Record<string, string | undefined>,
  names: Record<string, string | undefined>,
): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined || (!text.includes('\0') && text.isWellFormed())) continue;
    throw new VirgaError(
      'invalid_request',
      `the ${name} of the ${what} ${JSON.stringify(id)} has a NUL character or half a surrogate pair`,
    );
  }
  for (const [name, text = ''] of Object.entries(names)) {
    if (text.length * 4 <= NAME_BYTES_MAX || Buffer.byteLength(text) <= NAME_BYTES_MAX) continue;
    throw new VirgaError('invalid_request', `the ${name} '${text.slice(0, 40)}…' of a ${what} is longer than ${NAME_BYTES_MAX} bytes`);
  }
}
