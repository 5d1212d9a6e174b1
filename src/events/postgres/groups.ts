// The groups of fifo queues: a row says that a group has messages, and when they may be received. Senders of one group go one after
// the other, by an advisory lock that they take before their messages get sequence numbers.
// Rejected: to let senders lock the group's row itself. Then a receiver, who skips what is locked, starves beside a busy sender.
// Callers: sends.ts, receives of groups, settles.ts.
import type { Session, Statement } from './connections.ts';
import { delayOf, isGrouped } from './new-messages.ts';
import type { Send } from './new-messages.ts';

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

/** For the messages that are about to be stored: takes the locks, and sees to the rows. A row too many is found empty by a receiver. */
export async function openGroups(session: Session, sends: Send[], nowMs: number): Promise<void> {
  const groups = new Map<string, { queueId: number; name: string; waitMs: number }>();
  for (const { queue, queueId, message } of sends.flatMap(({ messages }) => messages)) {
    if (!isGrouped(queue, message)) continue;
    const key = `${queueId} ${message.group}`;
    // The first message is the one that the group waits for.
    if (!groups.has(key)) groups.set(key, { queueId, name: message.group!, waitMs: delayOf(message) });
  }
  if (groups.size === 0) return;
  const sorted = [...groups.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  await lockGroups(session, sorted);
  await session.rows(OPEN, [
    nowMs,
    sorted.map(({ queueId }) => queueId),
    sorted.map(({ name }) => name),
    sorted.map(({ waitMs }) => waitMs),
  ]);
}

/** Until the end of the transaction nobody else opens or closes these groups. */
async function lockGroups(session: Session, groups: { queueId: number; name: string }[]): Promise<void> {
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
