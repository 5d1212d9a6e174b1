// Walks the messages of many queues of the bus, queue by queue in the order of their keys, each in the order of its messages: what lists of
// deliveries and of dead letters are pages of. Invariant: one page reads a bounded number of messages, however few of them fit: it may
// then have fewer items than asked for and a cursor all the same.
import type { Bus, StoredMessage } from '../events/bus.ts';
import { invalidRequest } from './problems.ts';

const PEEK_AT_ONCE = 100;
const READ_MAX = 5_000;

export interface Walked<T> {
  items: T[];
  /** Where the next page begins; undefined: nothing is left. */
  next: string | undefined;
}

/** `keys`: sorted. `fits`: the item of a message, or undefined where it is not asked for. */
export async function walk<T>(
  bus: Bus,
  {
    keys,
    after,
    limit,
    fits,
  }: { keys: readonly string[]; after: string | undefined; limit: number; fits: (key: string, message: StoredMessage) => T | undefined },
): Promise<Walked<T>> {
  const from = placeOf(after);
  const items: T[] = [];
  let read = 0;
  for (const key of keys) {
    if (from !== undefined && key < from.key) continue;
    let sequence = key === from?.key ? from.sequence : undefined;
    for (;;) {
      const messages = await bus.peek(key, { ...(sequence === undefined ? {} : { after: sequence }), limit: PEEK_AT_ONCE });
      for (const message of messages) {
        const item = fits(key, message);
        // Not taken along: so there is another page.
        if (item !== undefined && items.length === limit) return { items, next: cursorOf(key, sequence ?? '0') };
        sequence = message.sequence;
        if (item !== undefined) items.push(item);
      }
      read += messages.length;
      if (messages.length < PEEK_AT_ONCE) break;
      if (read >= READ_MAX) return { items, next: cursorOf(key, sequence!) };
    }
  }
  return { items, next: undefined };
}

function cursorOf(key: string, sequence: string): string {
  return `${sequence} ${key}`;
}

function placeOf(after: string | undefined): { key: string; sequence: string } | undefined {
  if (after === undefined) return undefined;
  const [, sequence, key] = /^(\d{1,18}) (\S{1,300})$/.exec(after) ?? [];
  if (key === undefined) throw invalidRequest([{ path: '?cursor', message: 'is not a cursor of this list', value: after }]);
  return { key, sequence: sequence! };
}
