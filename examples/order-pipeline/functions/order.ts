/** What customers send, and every function here gets. */
export interface Order {
  id: string;
  customer: string;
  items: string[];
  /** In cents. */
  total: number;
  card: string;
  first?: boolean;
}

/** What is wrong with it; undefined: nothing. */
export function problemOf(order: Partial<Order>): string | undefined {
  if (typeof order.customer !== 'string' || order.customer === '') return 'customer is missing';
  if (!Array.isArray(order.items) || order.items.length === 0) return 'items is empty';
  if (!Number.isInteger(order.total) || order.total! <= 0) return 'total must be a number of cents above 0';
  if (typeof order.card !== 'string') return 'card is missing';
  return undefined;
}
