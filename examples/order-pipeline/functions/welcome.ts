// Who orders for the first time finds something in the parcel.
import { queue } from '@virga/sdk';
import type { TopicMessage, VirgaEvent } from '@virga/sdk';
import type { Order } from './order.ts';

export async function handler({ data }: VirgaEvent<TopicMessage>): Promise<void> {
  const order = JSON.parse(data.body) as Order;
  await queue('packing').send(
    { customer: order.customer, items: ['a bag of tea, with our thanks'] },
    { deduplicationId: `welcome-${order.id}` },
  );
}
