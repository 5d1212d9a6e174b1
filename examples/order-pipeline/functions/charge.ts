// Charges the cards of a batch. Those that are declined come again, without the others; who has paid is shipped to.
import { queue } from '@virga/sdk';
import type { QueueBatch, QueueOutcome, VirgaEvent } from '@virga/sdk';
import type { Order } from './order.ts';

export async function handler({ data }: VirgaEvent<QueueBatch>): Promise<QueueOutcome> {
  const failed: string[] = [];
  for (const message of data.messages) {
    const order = JSON.parse(message.body) as Order;
    if (!chargeCard(order)) {
      console.warn(`the card of order ${order.id} was declined, attempt ${message.attempt}`);
      failed.push(message.id);
      continue;
    }
    // A message may come twice: the second one is the same to the queue.
    await queue('shipping').send(order, { group: order.customer, deduplicationId: order.id });
  }
  return { failed };
}

/** The bank, for this example. */
function chargeCard({ card }: Order): boolean {
  return !card.startsWith('4000');
}
