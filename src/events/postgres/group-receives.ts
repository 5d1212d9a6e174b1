// Receiving from the groups of a fifo queue: a group is taken as a whole, and of it the first messages, as many as fit. The group that
// waits longest comes first, and stands behind the others when it is given back.
// Invariants: while a message of a group is held, or the first of it is not due, nobody gets one of it; what is handed out of a group
// is what comes first in it, in order. Called by receives.ts.
import type { ReceiveAnswer, ReceivedMessage } from '../bus.ts';
import { retried } from './connections.ts';
import type { Session, Statement } from './connections.ts';
import { closeGroups, heldOf, releaseGroups } from './groups.ts';
import { MESSAGE_COLUMNS, receiptOf, toMessage } from './messages.ts';
import type { MessageRow } from './messages.ts';
import { die } from './moves.ts';
import type { From, Receiver } from './receiver.ts';

const EXPIRED_MAX = 200;
const ROUNDS_MAX = 20;

/** The nested loop stops at the limit, so that no more groups are locked than are looked at. */
const CANDIDATES: Statement = {
  name: 'bus-group-candidates',
  text: `
select g.name, m.seq, m.bytes, m.due_at
from (
  select name from event_groups where queue = $1 and hold is null and due_at <= $2 order by due_at, name limit $3 for update skip locked
) g
left join lateral (
  select seq, bytes, due_at from event_messages where queue = $1 and state = 2 and group_name = g.name order by seq limit $3
) m on true
limit $3`,
};
const TAKE: Statement = {
  name: 'bus-group-take',
  text: `
with held as (
  update event_groups g set hold = $3, holder = $4, due_at = $5::bigint + $6, wait_ms = $6
  where g.queue = $1 and g.name = any($2::text[])
)
update event_messages m set hold = $3, holder = $4, due_at = $5::bigint + $6, wait_ms = $6, attempt = case when m.first_received_at is null then 1 else m.attempt + 1 end,
  first_received_at = coalesce(m.first_received_at, $5)
where m.queue = $1 and m.seq = any($7::bigint[]) and m.hold is null
returning case when coalesce(m.died_at, m.sent_at) <= $5::bigint - $8::bigint then 'expired' when m.attempt + m.cuts > $9 then 'receives' end as dies, ${MESSAGE_COLUMNS}`,
};
/** What was thought due is not: its first message was taken away meanwhile. */
const POSTPONE: Statement = {
  name: 'bus-group-postpone',
  text: `update event_groups g set due_at = a.due_at from unnest($2::text[], $3::bigint[]) as a (name, due_at) where g.queue = $1 and g.name = any($2::text[]) and g.name = a.name`,
};
const EXPIRE: Statement = {
  name: 'bus-group-expire-leases',
  text: `
with late as materialized (
  select name from event_groups where queue = $1 and hold is not null and due_at <= $2 order by due_at limit ${EXPIRED_MAX} for update skip locked
), back as (
  update event_messages m set hold = null, holder = null, due_at = $2, wait_ms = 0
  where m.queue = $1 and m.seq = any(array(select held.seq from late g cross join lateral ${heldOf('$1')} held)) and m.hold is not null
)
update event_groups g set hold = null, holder = null where g.queue = $1 and g.name = any(array(select name from late)) returning 1`,
};
const NEXT: Statement = {
  name: 'bus-group-next',
  text: `
select (select id from event_queues where id = $1) as queue_id,
  (select due_at from event_groups where queue = $1 and hold is null order by due_at, name limit 1) as ready_at,
  (select due_at from event_groups where queue = $1 and hold is not null order by due_at limit 1) as held_until`,
};

interface Next {
  queue_id: number | null;
  ready_at: string | null;
  held_until: string | null;
}

interface Candidate {
  name: string;
  seq: string | null;
  bytes: number;
  due_at: string;
}

/** undefined: the queue that this number stood for was taken away. */
export async function receiveFromGroups(receiver: Receiver, from: From): Promise<ReceiveAnswer | undefined> {
  const { connections, now } = receiver;
  const { max, bytesMax } = from.options;
  const messages: ReceivedMessage[] = [];
  let bytesLeft = bytesMax;
  for (let round = 1; ; round++) {
    const rest = { ...from, options: { ...from.options, max: max - messages.length, bytesMax: bytesLeft } };
    const { taken, looked, died, next } = await retried(
      () =>
        connections.transaction(async (session) => {
          const part = await take(receiver, session, rest, now());
          const [nextOnes] = await session.rows<Next>(NEXT, [from.row.id]);
          return { ...part, next: nextOnes! };
        }),
      () => receiver.moves.queues.forget(),
    );
    if (next.queue_id === null) return undefined;
    if (died && from.queue.dead !== null) receiver.moves.notices.heard([from.queue.dead]);
    for (const message of taken) bytesLeft -= Buffer.byteLength(message.body) + Buffer.byteLength(JSON.stringify(message.attributes));
    messages.push(...taken);
    const nowMs = now();
    const ready = next.ready_at === null ? Infinity : Number(next.ready_at);
    const heldUntil = next.held_until === null ? Infinity : Number(next.held_until);
    const expired = heldUntil <= nowMs ? await connections.rows(EXPIRE, [from.row.id, nowMs]) : [];
    // What was looked at and brought nothing was empty, postponed or died: there may be others behind it.
    const again = expired.length > 0 || (looked && taken.length === 0);
    if (!again || messages.length > 0 || round >= ROUNDS_MAX) {
      const nextAt = Math.min(ready, again ? nowMs : heldUntil);
      return { messages, nextAt: nextAt === Infinity ? undefined : nextAt };
    }
  }
}

async function take(
  receiver: Receiver,
  session: Session,
  { queue, row, options, beside = false }: From,
  nowMs: number,
): Promise<{ taken: ReceivedMessage[]; looked: boolean; died: boolean }> {
  const candidates = await session.rows<Candidate>(CANDIDATES, [row.id, nowMs, options.max]);
  const { names, seqs, empty, postponed } = choose(candidates, { nowMs, bytesMax: options.bytesMax, always: !beside });
  if (postponed.length > 0) {
    await session.rows(POSTPONE, [row.id, postponed.map(({ name }) => name), postponed.map(({ dueAt }) => dueAt)]);
  }
  if (empty.length > 0) {
    await closeGroups(
      session,
      empty.map((name) => ({ queueId: row.id, name })),
    );
  }
  if (names.length === 0) return { taken: [], looked: postponed.length + empty.length > 0, died: false };
  const hold = receiver.newHold();
  const values = [row.id, names, hold, receiver.holder, nowMs, options.leaseMs, seqs, queue.retentionMs, queue.receivesMax];
  const rows = await session.rows<MessageRow & { dies: 'expired' | 'receives' | null }>(TAKE, values);
  for (const reason of ['expired', 'receives'] as const) {
    const ones = rows.filter(({ dies }) => dies === reason).map(({ seq }) => ({ seq, hold: String(hold) }));
    if (ones.length > 0) await die(receiver.moves, session, { queue, row, reason, receivedAgain: true, ones });
  }
  const living = rows.filter(({ dies }) => dies === null).toSorted((a, b) => (BigInt(a.seq) < BigInt(b.seq) ? -1 : 1));
  const held = new Set(living.map(({ group_name }) => group_name));
  const left = names.filter((name) => !held.has(name)).map((name) => ({ queueId: row.id, name, hold: String(hold) }));
  await releaseGroups(session, left, nowMs);
  const taken = living.map((message) => ({ ...toMessage(message, nowMs), receipt: receiptOf({ seq: message.seq, hold: String(hold) }) }));
  return { taken, looked: true, died: living.length < rows.length };
}

/** Of each group what comes first and is due, until the bytes are used up; `always`: but one message at least. */
function choose(
  candidates: Candidate[],
  { nowMs, bytesMax, always }: { nowMs: number; bytesMax: number; always: boolean },
): { names: string[]; seqs: string[]; empty: string[]; postponed: { name: string; dueAt: number }[] } {
  const names = new Set<string>();
  const seqs: string[] = [];
  const empty: string[] = [];
  const postponed: { name: string; dueAt: number }[] = [];
  const stopped = new Set<string>();
  let bytesLeft = bytesMax;
  for (const { name, seq, bytes, due_at } of candidates) {
    if (stopped.has(name)) continue;
    if (seq === null) empty.push(name);
    else if (Number(due_at) > nowMs) {
      stopped.add(name);
      if (!names.has(name)) postponed.push({ name, dueAt: Number(due_at) });
    } else if (bytes > bytesLeft && (seqs.length > 0 || !always)) break;
    else {
      names.add(name);
      seqs.push(seq);
      bytesLeft -= bytes;
    }
  }
  return { names: [...names], seqs, empty, postponed };
}
