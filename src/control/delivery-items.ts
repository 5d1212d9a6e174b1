// A message on its way, or dead, as the API shows it. Used by the operations on deliveries and dead letters.
import { z } from '@hono/zod-openapi';
import type { QueueSpec, StoredMessage } from '../events/bus.ts';
import { keyParts } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import type { DeadLetterItem, DeliveryItem } from '../protocol/events-api.ts';
import { isoOf } from './backlog.ts';
import { functionOf } from './delivery-sources.ts';
import { attributes, bodyOf, died, diedOf, placeName } from './message-items.ts';
import { time } from './schemas.ts';

export const deliveryState = z.enum(['pending', 'delayed', 'held', 'dead']);

export const delivery = z
  .object({
    id: z.string(),
    source: z.string(),
    state: deliveryState,
    function: z.string().nullable(),
    attempt: z.int(),
    nextAt: time.nullable(),
    sentAt: time,
    lastError: z.string().nullable(),
    bytes: z.int(),
    died: died.nullable(),
  })
  .openapi('Delivery') satisfies z.ZodType<DeliveryItem>;

export const deadLetter = z
  .object({
    id: z.string(),
    in: z.string(),
    died,
    attempts: z.int(),
    lastError: z.string().nullable(),
    sentAt: time,
    bytes: z.int(),
    attributes,
    redrivable: z.boolean(),
    body: z.string().optional(),
    bodyCut: z.literal(true).optional(),
  })
  .openapi('DeadLetter');

/** Of a dead letter its source is where it died. */
export function deliveryOf(topology: Topology, key: string, message: StoredMessage): DeliveryItem {
  // In a queue of the project that is named for dead letters they wait as any message does.
  const dead = message.died !== null && keyParts(key).kind === 'dead';
  const source = dead ? message.died!.from : key;
  return {
    id: message.id,
    source: placeName(source),
    state: dead ? 'dead' : message.state,
    function: functionOf(topology, source),
    attempt: message.attempt,
    nextAt: dead || message.state === 'pending' ? null : isoOf(message.dueAt),
    sentAt: isoOf(message.sentAt),
    lastError: message.lastError,
    bytes: Buffer.byteLength(message.body),
    died: diedOf(message),
  };
}

/** undefined: it is none. */
export function deadLetterOf(
  key: string,
  message: StoredMessage,
  { specs, body }: { specs: ReadonlyMap<string, QueueSpec>; body: 'none' | 'begin' | 'whole' },
): DeadLetterItem | undefined {
  if (message.died === null) return undefined;
  return {
    id: message.id,
    in: placeName(key),
    died: diedOf(message)!,
    attempts: message.attempt,
    lastError: message.lastError,
    sentAt: isoOf(message.sentAt),
    bytes: Buffer.byteLength(message.body),
    attributes: message.attributes,
    redrivable: specs.has(message.died.from),
    ...bodyOf(message, body),
  };
}
