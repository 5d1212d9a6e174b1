// Messages that move from one queue to another: to the queue of dead letters, and back. A message that moves gets a new sequence number,
// so that a queue of dead letters is in the order of their deaths.
// Invariants: a move, and what is counted of it in both queues, is one transaction. Callers: receives.ts, settles.ts, redrive.ts, upkeep.ts.
import type { DeadReason, QueueSpec } from '../bus.ts';
import type { Session, Statement } from './connections.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';
import type { QueueRow, Queues } from './queues.ts';

export interface Moves {
  queues: Queues;
  notices: Notices;
  /** Row of event_counters that is written. */
  writer: string;
  now: () => number;
}

export interface Death {
  queue: Pick<QueueSpec, 'key' | 'dead'>;
  row: QueueRow;
  reason: DeadReason;
  /** It was counted as received once more, only to be told that it may not. */
  receivedAgain: boolean;
  ones: { seq: string; hold: string; error: string | null }[];
}

const ERROR_LENGTH_MAX = 4_096;

const MOVE: Statement = {
  name: 'bus-die',
  text: `
with moved as (
  update event_messages m set queue = $5, seq = nextval('event_sequence'), state = 0, hold = null, holder = null, due_at = $6, wait_ms = 0,
    attempt = m.attempt - $7, last_error = coalesce(a.error, m.last_error), died_at = $6, died_of = $8, died_in = $9
  from unnest($2::bigint[], $3::bigint[], $4::text[]) as a (seq, hold, error)
  where m.queue = $1 and m.seq = a.seq and m.hold = a.hold
  returning a.seq, m.bytes
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from moved
), counted as (
  update event_counters c set
    messages = c.messages + s.sign * sums.messages, bytes = c.bytes + s.sign * sums.bytes,
    dead = c.dead + case when s.sign < 0 then sums.messages else 0 end, sent = c.sent + case when s.sign > 0 then sums.messages else 0 end
  from sums, (values ($1::int, -1), ($5::int, 1)) as s (queue, sign)
  where c.queue = s.queue and c.writer = $10
  returning 1
)
select seq, case when (select count(*) from counted) < 2 then event_gone() end,
  (select count(pg_notify($11, payload)) from unnest($12::text[]) payload)
from moved`,
};
const DROP: Statement = {
  name: 'bus-die-for-good',
  text: `
with gone as (
  delete from event_messages m using unnest($2::bigint[], $3::bigint[]) as a (seq, hold)
  where m.queue = $1 and m.seq = a.seq and m.hold = a.hold
  returning m.seq, m.bytes
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from gone
), counted as (
  update event_counters c set messages = c.messages - sums.messages, bytes = c.bytes - sums.bytes, dead = c.dead + sums.messages
  from sums where c.queue = $1 and c.writer = $4
)
select seq from gone`,
};

/** Those of them that were held under that hold. What is heard of it is said by the transaction; in this process, by the caller. */
export async function die(moves: Moves, session: Session, death: Death): Promise<{ seq: string }[]> {
  const { queue, row, ones } = death;
  const seqs = ones.map(({ seq }) => seq);
  const holds = ones.map(({ hold }) => hold);
  if (queue.dead === null || queue.dead === queue.key) return await session.rows(DROP, [row.id, seqs, holds, moves.writer]);
  const target = await moves.queues.ofDead(queue.dead);
  const nowMs = moves.now();
  const moved = await session.rows<{ seq: string }>(MOVE, [
    row.id,
    seqs,
    holds,
    ones.map(({ error }) => error?.slice(0, ERROR_LENGTH_MAX) ?? null),
    target.id,
    nowMs,
    death.receivedAgain ? 1 : 0,
    death.reason,
    queue.key,
    moves.writer,
    CHANNEL,
    moves.notices.payloads([queue.dead]),
  ]);
  return moved;
}
