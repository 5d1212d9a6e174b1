// A message of the bus as the API shows it. Invariant: a list never carries more of a body than its first characters, so that a page of
// large messages is still a page.
import { z } from '@hono/zod-openapi';
import type { StoredMessage } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { Died, QueuedMessage } from '../protocol/events-api.ts';
import { isoOf } from './backlog.ts';
import { time, wholeNumber } from './schemas.ts';

const BODY_CHARACTERS = 1_024;
const PAGE_MAX = 100;

export const died = z.object({
  from: z.string(),
  reason: z.enum(['receives', 'expired', 'rejected']),
  at: time,
}) satisfies z.ZodType<Died>;

export const attributes = z.record(z.string(), z.string());

export const queuedMessage = z
  .object({
    id: z.string(),
    sequence: z.string(),
    state: z.enum(['pending', 'delayed', 'held']),
    attempt: z.int(),
    lastError: z.string().nullable(),
    sentAt: time,
    firstReceivedAt: time.nullable(),
    dueAt: time,
    group: z.string().nullable(),
    deduplicationId: z.string().nullable(),
    attributes,
    bytes: z.int(),
    body: z.string().optional(),
    bodyCut: z.literal(true).optional(),
    died: died.nullable(),
  })
  .openapi('QueuedMessage');

/** Ids of messages are the sender's where it gives one. */
export const messageId = z.string().regex(/^[^\0]{1,256}$/, 'must be the id of a message: 1 to 256 characters, none of them NUL');

/** Messages in one answer: fewer than of other lists, since each may have a body. */
export const messagePage = {
  limit: wholeNumber.refine((limit) => limit >= 1 && limit <= PAGE_MAX, `must be from 1 to ${PAGE_MAX}`).optional(),
  cursor: z.string().min(1).max(1_024).optional(),
};

export const flag = z.enum(['true', 'false']).optional();

export function queuedMessageOf(message: StoredMessage, body: 'none' | 'begin' | 'whole'): QueuedMessage {
  return {
    id: message.id,
    sequence: message.sequence,
    state: message.state,
    attempt: message.attempt,
    lastError: message.lastError,
    sentAt: isoOf(message.sentAt),
    firstReceivedAt: isoOf(message.firstReceivedAt),
    dueAt: isoOf(message.dueAt),
    group: message.group,
    deduplicationId: message.deduplicationId,
    attributes: message.attributes,
    bytes: Buffer.byteLength(message.body),
    ...bodyOf(message, body),
    died: diedOf(message),
  };
}

export function bodyOf({ body }: StoredMessage, shown: 'none' | 'begin' | 'whole'): { body?: string; bodyCut?: true } {
  if (shown === 'none') return {};
  if (shown === 'whole' || body.length <= BODY_CHARACTERS) return { body };
  // Not between the two halves of a character.
  return { body: body.slice(0, BODY_CHARACTERS).replace(/[\ud800-\udbff]$/, ''), bodyCut: true };
}

export function diedOf({ died: one }: StoredMessage): Died | null {
  return one === null ? null : { from: placeName(one.from), reason: one.reason, at: isoOf(one.at) };
}

/** A key without its project, e.g. `topic/prices/ship`. */
export function placeName(key: string): string {
  const { kind, name } = keyParts(key);
  return `${kind}/${name}`;
}
