// What a subscription with a `url` is called, which is the name of the queue that its messages wait in. Apart from the schema, which the edge does
// not load. Used by references.ts (at deploy), events/topology.ts, control/event-changes.ts.
import { createHash } from 'node:crypto';
import type { Subscription } from './topics.ts';

/**
 * Of a `url`. Without a name of its own it has one of its URL, and none of its place in the list: whoever takes a subscription away would have
 * the next one get, signed for it, what waits for the former.
 */
export function webhookName({ name, url = '' }: Subscription): string {
  return name ?? `webhook-${createHash('sha256').update(url).digest('hex').slice(0, 8)}`;
}
