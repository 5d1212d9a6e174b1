// Receiving messages that belong to no group: the earliest due first, so that neither a retry nor a delayed message starves behind a
// backlog. Invariants: what one receiver takes, others skip (`for update skip locked`); a message that was received as often as it may
// be, or is too old, is not handed out but dies; what a receiver did not settle in its time is due again.
// One statement does it all in the ordinary case. Called by receives.ts.
import type { ReceiveAnswer, ReceivedMessage } from '../bus.ts';
import { retried } from './connections.ts';
import type { Statement } from './connections.ts';
import { MESSAGE_COLUMNS, receiptOf, toMessage } from './messages.ts';
import type { MessageRow } from './messages.ts';
import { die } from './moves.ts';
import type { From, Receiver } from './receiver.ts';

/** Leases that ran out are taken back so many at a time. */
const EXPIRED_MAX = 1_000;
const ROUNDS_MAX = 20;

/**
 * `= any(array(…))` and no join: plans are kept, and one made while the table was empty joins the other way round, through the whole queue
 * for each receive (10,000 waiting messages: 548/s instead of 20,000/s).
 */
const RECEIVE: Statement = {
  name: 'bus-receive',
  text: `
with candidates as materialized (
  select seq, due_at, bytes from event_messages
  where queue = $1 and state = 0 and due_at <= $2 order by due_at, seq limit $3 for update skip locked
), picked as materialized (
  select seq, due_at, place from (
    select seq, due_at, sum(bytes) over w as through, row_number() over w as place from candidates window w as (order by due_at, seq)
  ) c where through <= $4 or place = 1 and $10
), last as materialized (
  select due_at, seq from picked order by place desc limit 1
), taken as (
  update event_messages m set state = 1, hold = $5, holder = $6, due_at = $2 + $7, wait_ms = $7, attempt = case when m.first_received_at is null then 1 else m.attempt + 1 end,
    first_received_at = coalesce(m.first_received_at, $2)
  where m.queue = $1 and m.seq = any(array(select seq from picked))
  returning array_position(array(select seq from picked order by place), m.seq) as place, case when coalesce(m.died_at, m.sent_at) <= $2 - $8::bigint then 'expired' when m.attempt + m.cuts > $9 then 'receives' end as dies, ${MESSAGE_COLUMNS}
)
select (select id from event_queues where id = $1) as queue_id,
  (select m.due_at from event_messages m where m.queue = $1 and m.state = 0
    and (m.due_at, m.seq) > (coalesce((select due_at from last), -1), coalesce((select seq from last), -1))
    order by m.due_at, m.seq limit 1) as ready_at,
  (select m.due_at from event_messages m where m.queue = $1 and m.state = 1 order by m.due_at limit 1) as held_until,
  taken.*
from (select 1) one left join taken on true`,
};
const EXPIRE: Statement = {
  name: 'bus-expire-leases',
  text: `
with late as materialized (
  select seq from event_messages where queue = $1 and state = 1 and due_at <= $2 order by due_at limit ${EXPIRED_MAX} for update skip locked
)
update event_messages m set state = 0, hold = null, holder = null where m.queue = $1 and m.seq = any(array(select seq from late)) returning m.seq`,
};

interface Row extends MessageRow {
  queue_id: number | null;
  ready_at: string | null;
  held_until: string | null;
  place: string | null;
  dies: 'expired' | 'receives' | null;
}

/** undefined: the queue that this number stood for was taken away. */
export async function receivePlain(receiver: Receiver, { queue, row, options, beside = false }: From): Promise<ReceiveAnswer | undefined> {
  const { connections, moves, holder, now } = receiver;
  const messages: ReceivedMessage[] = [];
  let bytesLeft = options.bytesMax;
  const { max } = options;
  for (let round = 1; ; round++) {
    const nowMs = now();
    const values = [
      row.id,
      nowMs,
      max - messages.length,
      bytesLeft,
      receiver.newHold(),
      holder,
      options.leaseMs,
      queue.retentionMs,
      queue.receivesMax,
      !beside && messages.length === 0,
    ];
    const rows = await connections.rows<Row>(RECEIVE, values);
    const first = rows[0]!;
    if (first.queue_id === null) return undefined;
    const taken = rows.filter(({ place }) => place !== null).toSorted((a, b) => Number(a.place) - Number(b.place));
    const dying = taken.filter(({ dies }) => dies !== null);
    for (const message of taken) {
      if (message.dies !== null) continue;
      bytesLeft -= Buffer.byteLength(message.body) + Buffer.byteLength(message.attributes);
      messages.push({ ...toMessage(message, nowMs), receipt: receiptOf({ seq: message.seq, hold: message.hold! }) });
    }
    for (const reason of ['expired', 'receives'] as const) {
      const ones = dying.filter(({ dies }) => dies === reason);
      if (ones.length === 0) continue;
      const death = { queue, row, reason, receivedAgain: true, ones: ones.map(({ seq, hold }) => ({ seq, hold: hold! })) };
      await retried(
        () => connections.transaction((session) => die(moves, session, death)),
        () => moves.queues.forget(),
      );
    }
    if (dying.length > 0 && queue.dead !== null) moves.notices.heard([queue.dead]);
    const heldUntil = first.held_until === null ? Infinity : Number(first.held_until);
    const expired = heldUntil <= nowMs ? await connections.rows(EXPIRE, [row.id, nowMs]) : [];
    const ready = first.ready_at === null ? Infinity : Number(first.ready_at);
    const more = expired.length > 0 || (dying.length > 0 && ready <= nowMs);
    if (!more || messages.length >= max || bytesLeft <= 0 || round >= ROUNDS_MAX) {
      const leases = messages.length > 0 ? nowMs + options.leaseMs : Infinity;
      const nextAt = Math.min(ready, more ? nowMs : heldUntil, leases);
      return { messages, nextAt: nextAt === Infinity ? undefined : nextAt };
    }
  }
}
