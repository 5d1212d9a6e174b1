// The orders that could not be charged: what died in `payments`.
import type { QueueBatch, VirgaEvent } from '@virga/sdk';
import type { Order } from './order.ts';

export function handler({ data }: VirgaEvent<QueueBatch>): void {
  for (const { body } of data.messages) {
    const { id, customer } = JSON.parse(body) as Order;
    console.log(`dear ${customer}, your card was declined three times: order ${id} is cancelled`);
  }
}
