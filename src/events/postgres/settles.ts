// Settling: calls that come together are one transaction (group-commit.ts), across queues.
// Invariants: only what is still held under its receipt is settled; what is counted of it is counted in the same transaction.
// Called by postgres.ts.
import type { QueueSpec, Settlement } from '../bus.ts';
import { retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { extendGroups, releaseGroups } from './groups.ts';
import { GroupCommit } from '../../lib/group-commit.ts';
import type { Outcome, WaitingBounds } from '../../lib/group-commit.ts';
import { parseReceipt } from './messages.ts';
import type { Receipt } from './messages.ts';
import { die } from './moves.ts';
import type { Moves } from './moves.ts';
import { CHANNEL } from './notices.ts';
import type { QueueRow } from './queues.ts';

const TRANSACTION_SETTLEMENTS_MAX = 2_000;
const ERROR_LENGTH_MAX = 4_096;

/** One settlement of a message that may be there. */
interface One {
  queue: QueueSpec;
  row: QueueRow;
  receipt: Receipt;
  settlement: Settlement;
  settled: boolean;
  /** Of a fifo queue, once it is settled. */
  group: string | null;
}

interface Settle {
  queue: QueueSpec;
  settlements: Settlement[];
}

/** $1, $2, $3 of each statement: queue, seq, hold. */
const DONE: Statement = {
  // Two thousand at a time: a join of the list with the rows, each of which the planner takes for one, would look at four million pairs.
  name: 'bus-done',
  text: `
with held as materialized (
  select queue, seq, hold from unnest($1::int[], $2::bigint[], $3::bigint[]) as a (queue, seq, hold)
  intersect
  select queue, seq, hold from event_messages where queue = any($1::int[]) and seq = any($2::bigint[])
), gone as (
  delete from event_messages m
  where m.queue = any($1::int[]) and m.seq = any(array(select seq from held)) and m.hold = any(array(select distinct hold from held))
  returning m.queue, m.seq, m.bytes, case when m.state = 2 then m.group_name end as group_name
), sums as materialized (
  select queue, count(*) as messages, sum(bytes) as bytes from gone group by queue
), counted as (
  update event_counters c set messages = c.messages - s.messages, bytes = c.bytes - s.bytes, done = c.done + s.messages
  from sums s where c.queue = any($1::int[]) and c.queue = s.queue and c.writer = $4
)
select queue, seq, group_name from gone`,
};
const RETRY: Statement = {
  name: 'bus-retry',
  text: `
with back as (
  update event_messages m set state = case m.state when 1 then 0 else m.state end, hold = null, holder = null, due_at = $4 + a.delay_ms, wait_ms = a.delay_ms,
    attempt = m.attempt - a.unseen, last_error = coalesce(a.error, m.last_error),
    first_received_at = case when m.attempt > a.unseen then m.first_received_at end
  from unnest($1::int[], $2::bigint[], $3::bigint[], $5::bigint[], $6::int[], $7::text[]) as a (queue, seq, hold, delay_ms, unseen, error)
  where m.queue = any($1::int[]) and m.seq = any($2::bigint[]) and m.queue = a.queue and m.seq = a.seq and m.hold = a.hold
  returning m.queue, m.seq, a.unseen, case when m.state = 2 then m.group_name end as group_name
), sums as materialized (
  select queue, count(*) as messages from back where unseen = 0 group by queue
), counted as (
  update event_counters c set retried = c.retried + s.messages from sums s where c.queue = any($1::int[]) and c.queue = s.queue and c.writer = $8
)
select queue, seq, group_name, (select count(pg_notify($9, payload)) from unnest($10::text[]) payload) from back`,
};
const EXTEND: Statement = {
  name: 'bus-extend',
  text: `
update event_messages m set due_at = $4 + a.lease_ms, wait_ms = a.lease_ms
from unnest($1::int[], $2::bigint[], $3::bigint[], $5::bigint[]) as a (queue, seq, hold, lease_ms)
where m.queue = any($1::int[]) and m.seq = any($2::bigint[]) and m.queue = a.queue and m.seq = a.seq and m.hold = a.hold
returning m.queue, m.seq, case when m.state = 2 then m.group_name end as group_name`,
};
/** What was held together with a message that is retried, and comes after it in its group. */
const UNSEE: Statement = {
  name: 'bus-unsee',
  text: `
update event_messages m set hold = null, holder = null, due_at = $5, wait_ms = 0, attempt = m.attempt - 1,
  first_received_at = case when m.attempt > 1 then m.first_received_at end
from unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[]) as a (queue, seq, hold, group_name)
where m.queue = any($1::int[]) and m.group_name = any($4::text[]) and m.queue = a.queue and m.state = 2 and m.group_name = a.group_name and m.seq > a.seq and m.hold = a.hold`,
};
const NOTIFY: Statement = { name: 'bus-notify', text: `select count(pg_notify($1, payload)) from unnest($2::text[]) payload` };

export class Settles {
  readonly #connections: Connections;
  readonly #moves: Moves;
  readonly #lane: GroupCommit<Settle, boolean[]>;

  constructor(needs: { connections: Connections; moves: Moves; waiting: WaitingBounds }) {
    this.#connections = needs.connections;
    this.#moves = needs.moves;
    this.#lane = new GroupCommit({
      run: (settles) => this.#run(settles),
      weigh: ({ settlements }) => ({ items: settlements.length, bytes: 0 }),
      itemsMax: TRANSACTION_SETTLEMENTS_MAX,
      bytesMax: Infinity,
      waiting: needs.waiting,
    });
  }

  async settle(queue: QueueSpec, settlements: Settlement[]): Promise<boolean[]> {
    if (settlements.length === 0) return [];
    return await this.#lane.add({ queue, settlements });
  }

  async idle(): Promise<void> {
    await this.#lane.idle();
  }

  async #run(settles: Settle[]): Promise<Outcome<boolean[]>[]> {
    const { queues, notices } = this.#moves;
    const ones = await retried(
      async () => {
        const all = await Promise.all(settles.map((settle) => this.#resolve(settle)));
        await this.#apply(all.flat().filter((one) => one !== undefined));
        return all;
      },
      () => queues.forget(),
    );
    const settled = ones.flat().filter((one) => one !== undefined && one.settled) as One[];
    const again = settled.filter(({ settlement, group }) => settlement.as === 'retry' || group !== null).map(({ queue }) => queue.key);
    const dead = settled.filter(({ settlement }) => settlement.as === 'dead').map(({ queue }) => queue.dead);
    notices.heard(new Set([...again, ...dead.filter((key) => key !== null)]));
    return ones.map((ofOne) => ({ value: ofOne.map((one) => one?.settled === true) }));
  }

  async #resolve({ queue, settlements }: Settle): Promise<(One | undefined)[]> {
    const row = await this.#moves.queues.ofExisting(queue);
    if (row === undefined) return settlements.map(() => undefined);
    return settlements.map((settlement) => {
      const receipt = parseReceipt(settlement.receipt);
      return receipt === undefined ? undefined : { queue, row, receipt, settlement, settled: false, group: null };
    });
  }

  async #apply(ones: One[]): Promise<void> {
    const done = ones.filter(({ settlement }) => settlement.as === 'done');
    // One statement is a transaction.
    if (done.length === ones.length && !ones.some(({ queue }) => queue.fifo)) await this.#done(this.#connections, done);
    else await this.#connections.transaction((session) => this.#applyAll(session, ones));
  }

  async #applyAll(session: Session, ones: One[]): Promise<void> {
    const nowMs = this.#moves.now();
    const done = ones.filter(({ settlement }) => settlement.as === 'done');
    const dead = ones.filter(({ settlement }) => settlement.as === 'dead');
    const retries = ones.filter((one): one is Retry => one.settlement.as === 'retry');
    const extensions = ones.filter((one): one is Extension => one.settlement.as === 'extend');
    await this.#done(session, done);
    await this.#die(session, dead);
    await this.#retry(session, retries, nowMs);
    await this.#extend(session, extensions, nowMs);
    const left = [...done, ...dead, ...retries].filter(({ group }) => group !== null);
    const ready = new Set(
      await releaseGroups(
        session,
        left.map(({ row, group, receipt }) => ({ queueId: row.id, name: group!, hold: receipt.hold })),
        nowMs,
      ),
    );
    const keys = new Set(left.filter(({ row }) => ready.has(row.id)).map(({ queue }) => queue.key));
    if (keys.size > 0) await session.rows(NOTIFY, [CHANNEL, this.#moves.notices.payloads(keys)]);
  }

  async #retry(session: Session, ones: Retry[], nowMs: number): Promise<void> {
    if (ones.length === 0) return;
    const rows = await session.rows<Settled>(RETRY, [
      ...namesOf(ones),
      nowMs,
      ones.map(({ settlement }) => Math.max(0, Math.round(settlement.delayMs))),
      ones.map(({ settlement }) => (settlement.unseen === true ? 1 : 0)),
      ones.map(({ settlement }) => settlement.error?.slice(0, ERROR_LENGTH_MAX) ?? null),
      this.#moves.writer,
      CHANNEL,
      this.#moves.notices.payloads(new Set(ones.map(({ queue }) => queue.key))),
    ]);
    mark(ones, rows);
    const grouped = ones.filter(({ group }) => group !== null);
    if (grouped.length > 0) await session.rows(UNSEE, [...namesOf(grouped), grouped.map(({ group }) => group), nowMs]);
  }

  async #extend(session: Session, ones: Extension[], nowMs: number): Promise<void> {
    if (ones.length === 0) return;
    const leases = ones.map(({ settlement }) => Math.max(0, Math.round(settlement.leaseMs)));
    mark(ones, await session.rows<Settled>(EXTEND, [...namesOf(ones), nowMs, leases]));
    const groups = ones.flatMap(({ row, receipt, settlement, group }) =>
      group === null ? [] : [{ queueId: row.id, name: group, hold: receipt.hold, leaseMs: settlement.leaseMs }],
    );
    await extendGroups(session, groups, nowMs);
  }

  async #done(session: Session, ones: One[]): Promise<void> {
    if (ones.length > 0) mark(ones, await session.rows<Settled>(DONE, [...namesOf(ones), this.#moves.writer]));
  }

  async #die(session: Session, ones: One[]): Promise<void> {
    for (const ofQueue of Map.groupBy(ones, ({ row }) => row.id).values()) {
      const { queue, row } = ofQueue[0]!;
      const rows = await die(this.#moves, session, {
        queue,
        row,
        reason: 'rejected',
        receivedAgain: false,
        ones: ofQueue.map(({ receipt, settlement }) => ({
          ...receipt,
          error: settlement.as === 'dead' ? (settlement.error ?? null) : null,
        })),
      });
      mark(
        ofQueue,
        rows.map(({ seq, group_name }) => ({ queue: row.id, seq, group_name })),
      );
    }
  }
}

type Retry = One & { settlement: { as: 'retry' } };
type Extension = One & { settlement: { as: 'extend' } };

interface Settled {
  queue: number;
  seq: string;
  group_name: string | null;
}

function namesOf(ones: One[]): [number[], string[], string[]] {
  return [ones.map(({ row }) => row.id), ones.map(({ receipt }) => receipt.seq), ones.map(({ receipt }) => receipt.hold)];
}

function mark(ones: One[], rows: Settled[]): void {
  const settled = new Map(rows.map((row) => [`${row.queue} ${row.seq}`, row]));
  for (const one of ones) {
    const row = settled.get(`${one.row.id} ${one.receipt.seq}`);
    one.settled = row !== undefined;
    one.group = row?.group_name ?? null;
  }
}
