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
import { RECEIVE_MAX } from './messages.ts';

export interface Group {
  queueId: number;
  name: string;
}

/** Groups share this many locks in each queue, so that a transaction with thousands of groups does not fill the server's table of locks. */
const SLOTS = 16;
const LOCKS = 0x7662n << 40n;

const LOCK: Statement = { name: 'bus-group-locks', text: `select count(pg_advisory_xact_lock(k)) from unnest($1::bigint[]) k` };
/** A row that is there is not tried: the conflict alone would wait for whoever changes it, who may wait for the lock of this sender. */
const OPEN: Statement = {
  name: 'bus-group-open',
  text: `
insert into event_groups (queue, name, due_at, wait_ms)
select g.queue, g.name, $1 + g.wait_ms, g.wait_ms from unnest($2::int[], $3::text[], $4::bigint[]) as g (queue, name, wait_ms)
where (select true from event_groups e where e.queue = g.queue and e.name = g.name limit 1) is null
on conflict (queue, name) do nothing`,
};
const UNGROUPED: Statement = {
  name: 'bus-group-ungrouped',
  text: `select distinct group_name as name from event_messages where queue = $1 and state = 0 and group_name is not null`,
};
const GROUP: Statement = {
  name: 'bus-group-all',
  text: `
with grouped as (
  update event_messages set state = 2 where queue = $1 and state = 0 and group_name = any($2::text[]) returning group_name, due_at, wait_ms
)
insert into event_groups (queue, name, due_at, wait_ms) select $1, group_name, min(due_at), 0 from grouped group by group_name
on conflict (queue, name) do nothing`,
};
/** The first message of the group g: as a subquery it is looked up for each, and never joined the other way round. */
const head = (of: string): string =>
  `(select ${of} from event_messages m where m.queue = g.queue and m.state = 2 and m.group_name = g.name order by m.seq limit 1)`;
/** $1: queues, $2: names; $3, an object: which of the names in which of the queues. */
const ASKED = `g.queue = any($1::int[]) and g.name = any($2::text[]) and $3::jsonb ? (g.queue || ' ' || g.name)`;
/** The messages of the group g that are held: what comes first in it, and never more than one receive takes. */
export const heldOf = (queue: string): string =>
  `(select seq from (select seq, hold from event_messages where queue = ${queue} and state = 2 and group_name = g.name order by seq limit ${RECEIVE_MAX}) m where hold is not null)`;
/** Those of which no message is held any more. Behind the groups that wait already, for fairness. */
const RELEASE: Statement = {
  name: 'bus-group-release',
  text: `
with held as materialized (
  select g.queue, g.name, g.hold, ${head('m.hold is distinct from g.hold')} as free
  from event_groups g where ${ASKED} and g.hold = any($4::bigint[])
), released as (
  update event_groups g set hold = null, holder = null,
    (due_at, wait_ms) = ${head('greatest(m.due_at, $5), greatest(m.due_at - $5, 0)')}
  where ${ASKED} and g.hold = any($4::bigint[]) and ${head('m.hold is distinct from g.hold')}
  returning g.queue
)
select queue, null as name from released group by queue union all select queue, name from held where free is null`,
};
const CLOSE: Statement = {
  name: 'bus-group-close',
  text: `delete from event_groups g where ${ASKED} and ${head('true')} is null`,
};
/** Of groups that nobody holds and that lost messages: when they are due now. */
const REFRESH: Statement = {
  name: 'bus-group-refresh',
  text: `
with refreshed as (
  update event_groups g set (due_at, wait_ms) = ${head('m.due_at, m.wait_ms')}
  where g.queue = $1 and g.name = any($2::text[]) and g.hold is null and ${head('true')}
)
select g.name from event_groups g where g.queue = $1 and g.name = any($2::text[]) and ${head('true')} is null`,
};
const EXTEND: Statement = {
  name: 'bus-group-extend',
  text: `
update event_groups g set due_at = $4 + ($3::jsonb ->> (g.queue || ' ' || g.hold || ' ' || g.name))::bigint,
  wait_ms = ($3::jsonb ->> (g.queue || ' ' || g.hold || ' ' || g.name))::bigint
where g.queue = any($1::int[]) and g.name = any($2::text[]) and $3::jsonb ? (g.queue || ' ' || g.hold || ' ' || g.name)`,
};

/** Before messages of these groups get their sequence numbers: until the end of the transaction nobody else opens or closes them. */
export async function lockGroups(session: Session, groups: Group[]): Promise<void> {
  const keys = new Set(groups.map(({ queueId, name }) => LOCKS | (BigInt(queueId) << 8n) | BigInt(slotOf(name))));
  if (keys.size === 0) return;
  // Sorted, as everybody does it, so that nobody waits in a circle.
  const sorted = [...keys].toSorted((a, b) => (a < b ? -1 : 1));
  await session.rows(LOCK, [sorted.map(String)]);
}

/** Groups that are locked, before messages of them are stored: sees to the rows. */
export async function openGroups(session: Session, opened: (Group & { waitMs: number })[], nowMs: number): Promise<void> {
  // The first message of a group is the one that it waits for.
  const groups = [...new Map(opened.toReversed().map((group) => [keyOf(group), group])).values()];
  if (groups.length > 0) await session.rows(OPEN, [nowMs, ...columns(groups), groups.map(({ waitMs }) => waitMs)]);
}

/** Of a queue that has groups from now on: what waits in it goes into its group. */
export async function groupAll(session: Session, queueId: number): Promise<void> {
  const groups = await session.rows<{ name: string }>(UNGROUPED, [queueId]);
  if (groups.length === 0) return;
  await lockGroups(
    session,
    groups.map(({ name }) => ({ queueId, name })),
  );
  const names = groups.map(({ name }) => name);
  await session.rows(GROUP, [queueId, names]);
  await refreshGroups(session, queueId, names);
}

/** Of what was settled: gives back the groups that are not held any more. Answers the queues that have something again. */
export async function releaseGroups(session: Session, held: (Group & { hold: string })[], nowMs: number): Promise<number[]> {
  const groups = [...new Map(held.map((group) => [`${keyOf(group)} ${group.hold}`, group])).values()];
  if (groups.length === 0) return [];
  const release = async (ones: (Group & { hold: string })[]): Promise<{ queue: number; name: string | null }[]> =>
    await session.rows(RELEASE, [...asked(ones), ones.map(({ hold }) => hold), nowMs]);
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
  await session.rows(CLOSE, asked(groups));
}

/** After messages that nobody held were taken away. */
export async function refreshGroups(session: Session, queueId: number, names: string[]): Promise<void> {
  if (names.length === 0) return;
  const empty = await session.rows<{ name: string }>(REFRESH, [queueId, names]);
  if (empty.length > 0) {
    await closeGroups(
      session,
      empty.map(({ name }) => ({ queueId, name })),
    );
  }
}

export async function extendGroups(session: Session, held: (Group & { hold: string; leaseMs: number })[], nowMs: number): Promise<void> {
  if (held.length === 0) return;
  const leases = Object.fromEntries(held.map(({ queueId, name, hold, leaseMs }) => [`${queueId} ${hold} ${name}`, leaseMs]));
  await session.rows(EXTEND, [...columns(held), JSON.stringify(leases), nowMs]);
}

function slotOf(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) % 65_521;
  return hash % SLOTS;
}

function keyOf({ queueId, name }: Group): string {
  return `${queueId} ${name}`;
}

/** $1, $2 and $3 of ASKED. */
function asked(groups: Group[]): [number[], string[], string] {
  return [...columns(groups), JSON.stringify(Object.fromEntries(groups.map((group) => [keyOf(group), 0])))];
}

function columns(groups: Group[]): [number[], string[]] {
  return [groups.map(({ queueId }) => queueId), groups.map(({ name }) => name)];
}
