// The groups of fifo queues: a row says that a group has messages, and when they may be received.
//
//   (no row) ──send──▶ waits, due_at ──receive──▶ held, until due_at ──all settled──▶ waits, if it has more; else no row
//                          ▲                            │
//                          └── retry, lease ran out ────┘
//
// Invariants: a group with messages has a row; senders of one group, and whoever takes its row away, go one after the other, by an
// advisory lock that a sender takes before its messages get sequence numbers. Rejected: to let senders lock the row itself; a
// receiver, who skips what is locked, starves beside a busy sender. Callers: sends.ts, group-receives.ts, settles.ts, moves.ts, removal.ts.
import type { Session, Statement } from './connections.ts';

export interface Group {
  queueId: number;
  name: string;
}

/** Groups share this many locks in each queue, so that a transaction with thousands of groups does not fill the server's table of locks. */
const SLOTS = 16;
const LOCKS = 0x7662n << 40n;

const LOCK: Statement = { name: 'bus-group-locks', text: `select count(pg_advisory_xact_lock(k)) from unnest($1::bigint[]) k` };
const OPEN: Statement = {
  name: 'bus-group-open',
  text: `
insert into event_groups (queue, name, due_at, wait_ms)
select queue, name, $1 + wait_ms, wait_ms from unnest($2::int[], $3::text[], $4::bigint[]) as g (queue, name, wait_ms)
on conflict (queue, name) do nothing`,
};
/** Those of which no message is held any more. Behind the groups that wait already, for fairness. */
const RELEASE: Statement = {
  name: 'bus-group-release',
  text: `
with heads as materialized (
  select a.queue, a.name, a.hold, m.seq, m.due_at, m.hold as head_hold
  from unnest($1::int[], $2::text[], $3::bigint[]) as a (queue, name, hold)
  left join lateral (
    select seq, due_at, hold from event_messages where queue = a.queue and state = 2 and group_name = a.name order by seq limit 1
  ) m on true
), released as (
  update event_groups g set hold = null, holder = null, due_at = greatest(h.due_at, $4), wait_ms = greatest(h.due_at - $4, 0)
  from heads h where g.queue = any($1::int[]) and g.name = any($2::text[]) and g.queue = h.queue and g.name = h.name and g.hold = h.hold and h.seq is not null and h.head_hold is distinct from h.hold
  returning g.queue
)
select queue, null as name from released group by queue union all select queue, name from heads where seq is null`,
};
const CLOSE: Statement = {
  name: 'bus-group-close',
  text: `
delete from event_groups g using unnest($1::int[], $2::text[]) as a (queue, name)
where g.queue = any($1::int[]) and g.name = any($2::text[]) and g.queue = a.queue and g.name = a.name
  and not exists (select from event_messages m where m.queue = g.queue and m.state = 2 and m.group_name = g.name)`,
};
/** Of groups that nobody holds and that lost messages: when they are due now. */
const REFRESH: Statement = {
  name: 'bus-group-refresh',
  text: `
with heads as materialized (
  select a.queue, a.name, m.seq, m.due_at, m.wait_ms
  from unnest($1::int[], $2::text[]) as a (queue, name)
  left join lateral (
    select seq, due_at, wait_ms from event_messages where queue = a.queue and state = 2 and group_name = a.name order by seq limit 1
  ) m on true
), refreshed as (
  update event_groups g set due_at = h.due_at, wait_ms = h.wait_ms
  from heads h where g.queue = any($1::int[]) and g.name = any($2::text[]) and g.queue = h.queue and g.name = h.name and g.hold is null and h.seq is not null
)
select queue, name from heads where seq is null`,
};
const EXTEND: Statement = {
  name: 'bus-group-extend',
  text: `
update event_groups g set due_at = $4 + a.lease_ms, wait_ms = a.lease_ms
from unnest($1::int[], $2::text[], $3::bigint[], $5::bigint[]) as a (queue, name, hold, lease_ms)
where g.queue = any($1::int[]) and g.name = any($2::text[]) and g.queue = a.queue and g.name = a.name and g.hold = a.hold`,
};

/** Before messages of these groups are stored: takes the locks, and sees to the rows. A row too many is found empty by a receiver. */
export async function openGroups(session: Session, opened: (Group & { waitMs: number })[], nowMs: number): Promise<void> {
  // The first message of a group is the one that it waits for.
  const groups = [...new Map(opened.toReversed().map((group) => [`${group.queueId} ${group.name}`, group])).values()];
  if (groups.length === 0) return;
  await lockGroups(session, groups);
  await session.rows(OPEN, [nowMs, ...columns(groups), groups.map(({ waitMs }) => waitMs)]);
}

/** Of what was settled: gives back the groups that are not held any more. Answers the queues that have something again. */
export async function releaseGroups(session: Session, held: (Group & { hold: string })[], nowMs: number): Promise<number[]> {
  const groups = [...new Map(held.map((group) => [`${group.queueId} ${group.name} ${group.hold}`, group])).values()];
  if (groups.length === 0) return [];
  const release = async (ones: (Group & { hold: string })[]): Promise<{ queue: number; name: string | null }[]> =>
    await session.rows(RELEASE, [...columns(ones), ones.map(({ hold }) => hold), nowMs]);
  const rows = await release(groups);
  const ready = rows.filter(({ name }) => name === null);
  const empty = new Set(rows.filter(({ name }) => name !== null).map(({ queue, name }) => `${queue} ${name}`));
  const closing = groups.filter(({ queueId, name }) => empty.has(`${queueId} ${name}`));
  if (closing.length > 0) {
    await closeGroups(session, closing);
    // Of those that got a message meanwhile.
    ready.push(...(await release(closing)).filter(({ name }) => name === null));
  }
  return [...new Set(ready.map(({ queue }) => queue))];
}

/** Takes away the rows of those that have no messages. */
export async function closeGroups(session: Session, groups: Group[]): Promise<void> {
  await lockGroups(session, groups);
  await session.rows(CLOSE, columns(groups));
}

/** After messages that nobody held were taken away. */
export async function refreshGroups(session: Session, queueId: number, names: string[]): Promise<void> {
  if (names.length === 0) return;
  const groups = names.map((name) => ({ queueId, name }));
  const empty = await session.rows<{ queue: number; name: string }>(REFRESH, columns(groups));
  if (empty.length > 0) {
    await closeGroups(
      session,
      empty.map(({ name }) => ({ queueId, name })),
    );
  }
}

export async function extendGroups(session: Session, held: (Group & { hold: string; leaseMs: number })[], nowMs: number): Promise<void> {
  if (held.length === 0) return;
  await session.rows(EXTEND, [...columns(held), held.map(({ hold }) => hold), nowMs, held.map(({ leaseMs }) => leaseMs)]);
}

/** Until the end of the transaction nobody else opens or closes these groups. */
async function lockGroups(session: Session, groups: Group[]): Promise<void> {
  const keys = new Set(groups.map(({ queueId, name }) => LOCKS | (BigInt(queueId) << 8n) | BigInt(slotOf(name))));
  // Sorted, as everybody does it, so that nobody waits in a circle.
  const sorted = [...keys].toSorted((a, b) => (a < b ? -1 : 1));
  await session.rows(LOCK, [sorted.map(String)]);
}

function slotOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) % 65_521;
  return hash % SLOTS;
}

function columns(groups: Group[]): [number[], string[]] {
  return [groups.map(({ queueId }) => queueId), groups.map(({ name }) => name)];
}
