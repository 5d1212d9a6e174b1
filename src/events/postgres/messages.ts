// A row of event_messages as the port shows it, and receipts. Callers: whatever answers messages.
import type { DeadReason, StoredMessage } from '../bus.ts';

/** The columns that `toMessage` reads, of event_messages as `m`. */
export const MESSAGE_COLUMNS = `m.seq, m.state, m.due_at, m.sent_at, m.first_received_at, m.hold, m.attempt, m.id, m.group_name,
  m.deduplication_id, m.attributes, m.last_error, m.died_at, m.died_of, m.died_in, m.body`;

export interface MessageRow {
  seq: string;
  state: number;
  due_at: string;
  sent_at: string;
  first_received_at: string | null;
  hold: string | null;
  attempt: number;
  id: string;
  group_name: string | null;
  deduplication_id: string | null;
  attributes: string;
  last_error: string | null;
  died_at: string | null;
  died_of: DeadReason | null;
  died_in: string | null;
  body: string;
}

export function toMessage(row: MessageRow, nowMs: number): StoredMessage {
  const dueAt = Number(row.due_at);
  return {
    id: row.id,
    body: row.body,
    attributes: row.attributes === '{}' ? {} : (JSON.parse(row.attributes) as Record<string, string>),
    group: row.group_name,
    deduplicationId: row.deduplication_id,
    sequence: row.seq,
    sentAt: Number(row.sent_at),
    firstReceivedAt: row.first_received_at === null ? null : Number(row.first_received_at),
    attempt: row.attempt,
    lastError: row.last_error,
    state: row.hold !== null ? 'held' : dueAt > nowMs ? 'delayed' : 'pending',
    dueAt,
    died: row.died_at === null ? null : { from: row.died_in!, reason: row.died_of!, at: Number(row.died_at) },
  };
}

export interface Receipt {
  seq: string;
  hold: string;
}

export function receiptOf({ seq, hold }: Receipt): string {
  return `${seq}.${hold}`;
}

/** undefined: it names nothing. */
export function parseReceipt(receipt: string): Receipt | undefined {
  const match = /^(\d{1,18})\.(\d{1,16})$/.exec(receipt);
  return match === null ? undefined : { seq: match[1]!, hold: match[2]! };
}
