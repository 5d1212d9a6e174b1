// Messages that move from one queue to another: to the queue of dead letters, and back. A message that moves gets a new sequence number,
// so that a queue of dead letters is in the order of the deaths.
// Invariants: a move, and what is counted of it in both queues, is one transaction; what moves together keeps its order.
// Callers: the receives, settles.ts, redrive.ts, upkeep.ts.
import type { DeadReason, QueueSpec } from '../bus.ts';
import type { Session, Statement } from './connections.ts';
import { openGroups } from './groups.ts';
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
  /** `hold`: null where nobody holds it. */
  ones: { seq: string; hold: string | null; error: string | null }[];
}

export interface Moved {
  seq: string;
  /** Where it was, if that is a fifo queue. */
  group_name: string | null;
}

const ERROR_LENGTH_MAX = 4_096;

/** From queue $1 to $2. A message keeps the name of its group in a queue that has no groups, so that it can go back. */
const move = (name: string, set: string, counted: string): Statement => ({
  name,
  text: `
with asked as materialized (
  select seq, hold, error, nextval('event_sequence') as new_seq
  from unnest($3::bigint[], $4::bigint[], $5::text[]) as a (seq, hold, error)
), moved as (
  update event_messages m set queue = $2, seq = a.new_seq, state = case when $6 and m.group_name is not null then 2 else 0 end,
    hold = null, holder = null, due_at = $7, wait_ms = 0, ${set}
  from asked a where m.queue = $1 and m.seq = any($3::bigint[]) and m.seq = a.seq and m.hold is not distinct from a.hold
  returning a.seq, m.bytes, m.group_name
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from moved
), counted as (
  update event_counters c set messages = c.messages + s.sign * sums.messages, bytes = c.bytes + s.sign * sums.bytes,
    sent = c.sent + case when s.sign > 0 then sums.messages else 0 end,
    dead = c.dead + case when s.sign < 0 then ${counted} else 0 end
  from sums, (values ($1::int, -1), ($2::int, 1)) as s (queue, sign)
  where c.queue in ($1, $2) and c.queue = s.queue and c.writer = $8
  returning 1
)
select seq, group_name, case when (select count(*) from counted) < 2 then event_gone() end as gone,
  (select count(pg_notify($9, payload)) from unnest($10::text[]) payload) as told
from moved`,
});
const DIE = move(
  'bus-die',
  `attempt = m.attempt - $11, last_error = coalesce(a.error, m.last_error), died_at = $7, died_of = $12, died_in = $13`,
  'sums.messages',
);
const RETURN = move(
  'bus-return',
  `attempt = 0, last_error = null, first_received_at = null, sent_at = $7, died_at = null, died_of = null, died_in = null`,
  '0',
);
const DROP: Statement = {
  name: 'bus-die-for-good',
  text: `
with gone as (
  delete from event_messages m using unnest($2::bigint[], $3::bigint[]) as a (seq, hold)
  where m.queue = $1 and m.seq = any($2::bigint[]) and m.seq = a.seq and m.hold is not distinct from a.hold
  returning m.seq, m.bytes, m.group_name
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from gone
), counted as (
  update event_counters c set messages = c.messages - sums.messages, bytes = c.bytes - sums.bytes, dead = c.dead + sums.messages
  from sums where c.queue = $1 and c.writer = $4
)
select seq, group_name from gone`,
};
const GROUPS: Statement = {
  name: 'bus-group-names',
  text: `select distinct group_name as name from event_messages where queue = $1 and seq = any($2::bigint[]) and group_name is not null`,
};

/** Those of them that were still there, and held as it says. Other processes hear of it with the transaction, this one from the caller. */
export async function die(moves: Moves, session: Session, death: Death): Promise<Moved[]> {
  const { queue, row, ones } = death;
  const seqs = ones.map(({ seq }) => seq);
  const holds = ones.map(({ hold }) => hold);
  if (queue.dead === null || queue.dead === queue.key) {
    return inGroups(row, await session.rows<Moved>(DROP, [row.id, seqs, holds, moves.writer]));
  }
  const target = await moves.queues.ofDead(queue.dead);
  const values = await prepare(moves, session, { from: row, target, seqs, holds, errors: ones.map(({ error }) => error) });
  return inGroups(row, await session.rows<Moved>(DIE, [...values, death.receivedAgain ? 1 : 0, death.reason, queue.key]));
}

/** Dead letters that nobody holds go to `target`, as if they were sent just now. */
export async function comeBack(
  moves: Moves,
  session: Session,
  { from, target, seqs }: { from: QueueRow; target: QueueRow; seqs: string[] },
): Promise<Moved[]> {
  const values = await prepare(moves, session, { from, target, seqs, holds: seqs.map(() => null), errors: seqs.map(() => null) });
  return inGroups(from, await session.rows<Moved>(RETURN, values));
}

interface Preparation {
  from: QueueRow;
  target: QueueRow;
  seqs: string[];
  holds: (string | null)[];
  errors: (string | null)[];
}

/** $1 to $10. Opens the groups of the target, before sequence numbers are drawn. */
async function prepare(moves: Moves, session: Session, { from, target, seqs, holds, errors }: Preparation): Promise<unknown[]> {
  const nowMs = moves.now();
  if (target.fifo) {
    const groups = await session.rows<{ name: string }>(GROUPS, [from.id, seqs]);
    const opened = groups.map(({ name }) => ({ queueId: target.id, name, waitMs: 0 }));
    await openGroups(session, opened, nowMs);
  }
  const cut = errors.map((error) => error?.slice(0, ERROR_LENGTH_MAX) ?? null);
  return [from.id, target.id, seqs, holds, cut, target.fifo, nowMs, moves.writer, CHANNEL, moves.notices.payloads([target.key])];
}

function inGroups(row: QueueRow, moved: Moved[]): Moved[] {
  return row.fifo ? moved : moved.map(({ seq }) => ({ seq, group_name: null }));
}
