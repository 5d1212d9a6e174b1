// A row of event_messages as the port shows it, and receipts. Callers: whatever answers messages.
import type { DeadReason, StoredMessage } from '../bus.ts';

/** Messages of one receive at most: of a group no more are held at once. */
export const RECEIVE_MAX = 1_000;
const ERROR_LENGTH_MAX = 4_096;
/** Ten years. */
const MS_MAX = 10 * 366 * 86_400_000;

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

/**
 * A holding, within all queues, or a message that nobody holds. What is asked of many is an object with these keys, and not joined: of two lists
 * which the planner takes for short ones it would look at all pairs, four million of two thousand.
 */
export const HOLDING = `(m.queue || '.' || m.seq || '.' || coalesce(m.hold::text, ''))`;

export function holdingOf(queueId: number, { seq, hold }: { seq: string; hold: string | null }): string {
  return `${queueId}.${seq}.${hold ?? ''}`;
}

/** A number of ms as a column takes it, whoever said it. */
export function wholeMs(ms: number): number {
  return Math.min(MS_MAX, Math.max(0, Math.round(ms) || 0));
}

/** What was said of a failure, as a column takes it: no NUL, no half of a surrogate pair, and not all of it. */
export function errorText(error: string | undefined | null): string | null {
  return error?.slice(0, ERROR_LENGTH_MAX).replaceAll('\0', '\ufffd').toWellFormed() ?? null;
}

/** undefined: it names nothing. */
export function parseReceipt(receipt: string): Receipt | undefined {
  const match = /^(\d{1,18})\.(\d{1,16})$/.exec(receipt);
  return match === null ? undefined : { seq: match[1]!, hold: match[2]! };
}
