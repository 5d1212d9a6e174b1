// Once an order is published it is stored, and whoever is subscribed will get it: the customer need not wait for more.
import { randomUUID } from 'node:crypto';
import { topic } from '@virga/sdk';
import { problemOf } from './order.ts';
import type { Order } from './order.ts';

export default {
  async fetch(request: Request): Promise<Response> {
    const given = (await request.json().catch(() => ({}))) as Partial<Order>;
    const problem = problemOf(given);
    if (problem !== undefined) return Response.json({ problem }, { status: 400 });
    const order = { ...given, id: randomUUID() } as Order;
    await topic('orders').publish(order, { id: order.id });
    return Response.json({ id: order.id }, { status: 202 });
  },
};
