// Deduplication: the first message with an id takes a row, and for as long as that is remembered others with the id are not stored.
// Invariants: two senders at once never both take it (the row's lock decides); what a refused call took it gives back in the same
// transaction; rows are locked in one order. Called by sends.ts inside its transaction.
import type { Session, Statement } from './connections.ts';
import { isDeduplicated } from './new-messages.ts';
import type { Fresh, Send } from './new-messages.ts';

/** What is known of the ids of the messages of one transaction. */
export interface Claims {
  /** Id of the earlier message; undefined: this one may be stored. */
  of(fresh: Fresh): string | undefined;
  /** It is stored. */
  take(fresh: Fresh): void;
  /** After the decisions: what nobody took is forgotten again. */
  settle(session: Session): Promise<void>;
}

/** A row that is too old is taken over; one that is not stays as it is, but is locked until the end of the transaction. */
const CLAIM: Statement = {
  name: 'bus-deduplicate',
  text: `
with asked as (
  select * from unnest($1::int[], $2::text[], $3::text[]) as a (queue, deduplication_id, id)
), taken as (
  insert into event_deduplication as d (queue, deduplication_id, sent_at, id)
  select queue, deduplication_id, $5, id from asked
  on conflict (queue, deduplication_id) do update set sent_at = excluded.sent_at, id = excluded.id
    where d.sent_at <= excluded.sent_at - ($4::jsonb ->> d.queue::text)::bigint
  returning queue, deduplication_id
)
select queue, deduplication_id from taken`,
};
/** $1: queues, $2: their ids; $3, an object: which id in which queue. */
const ASKED = `d.queue = any($1::int[]) and d.deduplication_id = any($2::text[]) and $3::jsonb ? (d.queue || ' ' || d.deduplication_id)`;
const OWNERS: Statement = {
  name: 'bus-deduplicated',
  text: `
select d.queue, d.deduplication_id, d.id from event_deduplication d where ${ASKED}`,
};
const OWN: Statement = {
  name: 'bus-deduplication-own',
  text: `
update event_deduplication d set id = $3::jsonb ->> (d.queue || ' ' || d.deduplication_id) where ${ASKED}`,
};
const FORGET: Statement = {
  name: 'bus-deduplication-forget',
  text: `
delete from event_deduplication d where ${ASKED}`,
};

interface Claim {
  queueId: number;
  deduplicationId: string;
  windowMs: number;
  /** Of the message that the row names. */
  named: string;
  /** Of an earlier transaction: nobody here may have it. */
  earlier: string | undefined;
  /** Of the message of this transaction that has it. */
  owner: string | undefined;
}

export async function claim(session: Session, sends: Send[], nowMs: number): Promise<Claims> {
  const claims = new Map<string, Claim>();
  for (const { queue, queueId, message } of sends.flatMap(({ messages }) => messages)) {
    if (!isDeduplicated(queue, message)) continue;
    const deduplicationId = message.deduplicationId!;
    const key = `${queueId} ${deduplicationId}`;
    if (claims.has(key)) continue;
    claims.set(key, { queueId, deduplicationId, windowMs: queue.deduplicationMs, named: message.id, earlier: undefined, owner: undefined });
  }
  const sorted = [...claims.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
  if (sorted.length > 0) await ask(session, claims, sorted, nowMs);
  return {
    of: ({ queueId, message }) => {
      const entry = claims.get(`${queueId} ${message.deduplicationId}`);
      return entry?.earlier ?? entry?.owner;
    },
    take: ({ queueId, message }) => {
      const entry = claims.get(`${queueId} ${message.deduplicationId}`);
      if (entry !== undefined && entry.earlier === undefined) entry.owner ??= message.id;
    },
    settle: async () => {
      const left = sorted.filter(({ earlier, owner }) => earlier === undefined && owner === undefined);
      const others = sorted.filter(({ named, owner }) => owner !== undefined && owner !== named);
      if (left.length > 0)
        await session.rows(
          FORGET,
          asked(left, () => 0),
        );
      if (others.length > 0)
        await session.rows(
          OWN,
          asked(others, ({ owner }) => owner),
        );
    },
  };
}

async function ask(session: Session, claims: Map<string, Claim>, sorted: Claim[], nowMs: number): Promise<void> {
  const keyOf = (row: { queue: number; deduplication_id: string }): string => `${row.queue} ${row.deduplication_id}`;
  const taken = await session.rows<{ queue: number; deduplication_id: string }>(CLAIM, [
    ...namesOf(sorted),
    sorted.map(({ named }) => named),
    JSON.stringify(Object.fromEntries(sorted.map(({ queueId, windowMs }) => [queueId, windowMs]))),
    nowMs,
  ]);
  const mine = new Set(taken.map(keyOf));
  const others = sorted.filter(({ queueId, deduplicationId }) => !mine.has(`${queueId} ${deduplicationId}`));
  if (others.length === 0) return;
  // The rows of others are locked by the insert above, so they are there.
  const rows = await session.rows<{ queue: number; deduplication_id: string; id: string }>(
    OWNERS,
    asked(others, () => 0),
  );
  for (const row of rows) claims.get(keyOf(row))!.earlier = row.id;
}

function asked(claims: Claim[], say: (claim: Claim) => unknown): [number[], string[], string] {
  const said = claims.map((one) => [`${one.queueId} ${one.deduplicationId}`, say(one)]);
  return [...namesOf(claims), JSON.stringify(Object.fromEntries(said))];
}

function namesOf(claims: Claim[]): [number[], string[]] {
  return [claims.map(({ queueId }) => queueId), claims.map(({ deduplicationId }) => deduplicationId)];
}
