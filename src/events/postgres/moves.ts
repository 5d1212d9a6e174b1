// Messages that move from one queue to another: to the queue of dead letters, and back. A message that moves gets a new sequence number,
// so that a queue of dead letters is in the order of the deaths.
// Invariants: a move, and what is counted of it in both queues, is one transaction; what moves together keeps its order.
// Callers: the receives, settles.ts, redrive.ts, upkeep.ts.
import type { DeadReason, QueueSpec } from '../bus.ts';
import type { Session, Statement } from './connections.ts';
import { lockGroups, openGroups } from './groups.ts';
import { errorText, HOLDING, holdingOf } from './messages.ts';
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
  ones: One[];
}

interface One {
  seq: string;
  /** null: nobody holds it. */
  hold: string | null;
  error?: string | undefined;
}

export interface Moved {
  holding: string;
  /** Where it was, if that is a fifo queue. */
  group_name: string | null;
}

/** From queue $1 to $2; $4: by holding, the place among the new numbers and the error. A message keeps the name of its group in a queue that has none, so that it can go back. */
const move = (name: string, set: string, counted: string): Statement => ({
  name,
  text: `
with numbers as materialized (
  select array(select nextval('event_sequence') from generate_series(1, cardinality($3::bigint[]))) as drawn
), found as materialized (
  select m.seq, m.bytes, m.group_name, ${HOLDING} as holding, $4::jsonb -> ${HOLDING} as said from event_messages m
  where m.queue = $1 and m.seq = any($3::bigint[]) and $4::jsonb ? ${HOLDING} for update
), moved as (
  update event_messages m set queue = $2, seq = (select drawn from numbers)[($4::jsonb -> ${HOLDING} ->> 'place')::int],
    state = case when $5 and m.group_name is not null then 2 else 0 end, hold = null, holder = null, due_at = $6, wait_ms = 0, cuts = 0, ${set}
  where m.queue = $1 and m.seq = any(array(select seq from found))
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from found
), counted as (
  update event_counters c set messages = c.messages + s.sign * sums.messages, bytes = c.bytes + s.sign * sums.bytes,
    sent = c.sent + case when s.sign > 0 then sums.messages else 0 end,
    dead = c.dead + case when s.sign < 0 then ${counted} else 0 end
  from sums, (values ($1::int, -1), ($2::int, 1)) as s (queue, sign)
  where c.queue in ($1, $2) and c.queue = s.queue and c.writer = $7
  returning 1
)
select holding, group_name, case when (select count(*) from counted) < 2 then event_gone() end as gone,
  (select count(pg_notify($8, payload)) from unnest($9::text[]) payload) as told
from found`,
});
/** Its attempts are shown until it is received where it goes; there they begin anew. */
const DIE = move(
  'bus-die',
  `attempt = m.attempt - $10, first_received_at = null,
    last_error = coalesce($4::jsonb -> ${HOLDING} ->> 'error', m.last_error,
      case when m.cuts > 0 then 'whoever had received it ended before it was done, ' || m.cuts || ' times' end),
    died_at = $6, died_of = $11, died_in = $12`,
  'sums.messages',
);
const RETURN = move(
  'bus-return',
  `attempt = 0, last_error = null, first_received_at = null, sent_at = $6, died_at = null, died_of = null, died_in = null`,
  '0',
);
const DROP: Statement = {
  name: 'bus-die-for-good',
  text: `
with gone as (
  delete from event_messages m where m.queue = $1 and m.seq = any($2::bigint[]) and $3::jsonb ? ${HOLDING}
  returning ${HOLDING} as holding, m.bytes, m.group_name
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from gone
), counted as (
  update event_counters c set messages = c.messages - sums.messages, bytes = c.bytes - sums.bytes, dead = c.dead + sums.messages
  from sums where c.queue = $1 and c.writer = $4
)
select holding, group_name from gone`,
};
const GROUPS: Statement = {
  name: 'bus-group-names',
  text: `select distinct group_name as name from event_messages where queue = $1 and seq = any($2::bigint[]) and group_name is not null`,
};

/** Those of them that were still there, and held as it says. Other processes hear of it with the transaction, this one from the caller. */
export async function die(moves: Moves, session: Session, death: Death): Promise<Moved[]> {
  const { queue, row, ones } = death;
  if (queue.dead === null || queue.dead === queue.key) {
    return inGroups(row, await session.rows<Moved>(DROP, [row.id, ones.map(({ seq }) => seq), asked(row, ones), moves.writer]));
  }
  const target = await moves.queues.ofDead(queue.dead, session);
  const values = await prepare(moves, session, { from: row, target, ones });
  return inGroups(row, await session.rows<Moved>(DIE, [...values, death.receivedAgain ? 1 : 0, death.reason, queue.key]));
}

/** Dead letters that nobody holds go to `target`, as if they were sent just now. */
export async function comeBack(
  moves: Moves,
  session: Session,
  { from, target, seqs }: { from: QueueRow; target: QueueRow; seqs: string[] },
): Promise<Moved[]> {
  const values = await prepare(moves, session, { from, target, ones: seqs.map((seq) => ({ seq, hold: null })) });
  return inGroups(from, await session.rows<Moved>(RETURN, values));
}

/** $1 to $9. Opens the groups of the target, before sequence numbers are drawn. */
async function prepare(
  moves: Moves,
  session: Session,
  { from, target, ones }: { from: QueueRow; target: QueueRow; ones: One[] },
): Promise<unknown[]> {
  const nowMs = moves.now();
  const seqs = ones.map(({ seq }) => seq);
  if (target.fifo) {
    const groups = await session.rows<{ name: string }>(GROUPS, [from.id, seqs]);
    const opened = groups.map(({ name }) => ({ queueId: target.id, name, waitMs: 0 }));
    await lockGroups(session, opened);
    await openGroups(session, opened, nowMs);
  }
  return [from.id, target.id, seqs, asked(from, ones), target.fifo, nowMs, moves.writer, CHANNEL, moves.notices.payloads([target.key])];
}

function asked(row: QueueRow, ones: One[]): string {
  const entries = ones.map((one, index) => [holdingOf(row.id, one), { place: index + 1, error: errorText(one.error) }] as const);
  return JSON.stringify(Object.fromEntries(entries));
}

function inGroups(row: QueueRow, moved: Moved[]): Moved[] {
  return row.fifo ? moved : moved.map(({ holding }) => ({ holding, group_name: null }));
}
