// Settling: calls that come together are one transaction (group-commit.ts), across queues.
// Invariants: only what is still held under its receipt is settled; what is counted of it is counted in the same transaction.
// Called by postgres.ts.
import type { QueueSpec, Settlement } from '../bus.ts';
import { retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { GroupCommit } from '../../lib/group-commit.ts';
import type { Outcome } from '../../lib/group-commit.ts';
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
}

interface Settle {
  queue: QueueSpec;
  settlements: Settlement[];
}

/** $1, $2, $3 of each statement: queue, seq, hold. */
const DONE: Statement = {
  name: 'bus-done',
  text: `
with gone as (
  delete from event_messages m using unnest($1::int[], $2::bigint[], $3::bigint[]) as a (queue, seq, hold)
  where m.queue = a.queue and m.seq = a.seq and m.hold = a.hold
  returning m.queue, m.seq, m.bytes
), sums as materialized (
  select queue, count(*) as messages, sum(bytes) as bytes from gone group by queue
), counted as (
  update event_counters c set messages = c.messages - s.messages, bytes = c.bytes - s.bytes, done = c.done + s.messages
  from sums s where c.queue = s.queue and c.writer = $4
)
select queue, seq from gone`,
};
const RETRY: Statement = {
  name: 'bus-retry',
  text: `
with back as (
  update event_messages m set state = 0, hold = null, holder = null, due_at = $4 + a.delay_ms, wait_ms = a.delay_ms,
    attempt = m.attempt - a.unseen, last_error = coalesce(a.error, m.last_error),
    first_received_at = case when m.attempt > a.unseen then m.first_received_at end
  from unnest($1::int[], $2::bigint[], $3::bigint[], $5::bigint[], $6::int[], $7::text[]) as a (queue, seq, hold, delay_ms, unseen, error)
  where m.queue = a.queue and m.seq = a.seq and m.hold = a.hold
  returning m.queue, m.seq, a.unseen
), sums as materialized (
  select queue, count(*) as messages from back where unseen = 0 group by queue
), counted as (
  update event_counters c set retried = c.retried + s.messages from sums s where c.queue = s.queue and c.writer = $8
)
select queue, seq, (select count(pg_notify($9, payload)) from unnest($10::text[]) payload) from back`,
};
const EXTEND: Statement = {
  name: 'bus-extend',
  text: `
update event_messages m set due_at = $4 + a.lease_ms, wait_ms = a.lease_ms
from unnest($1::int[], $2::bigint[], $3::bigint[], $5::bigint[]) as a (queue, seq, hold, lease_ms)
where m.queue = a.queue and m.seq = a.seq and m.hold = a.hold
returning m.queue, m.seq`,
};

export class Settles {
  readonly #connections: Connections;
  readonly #moves: Moves;
  readonly #lane: GroupCommit<Settle, boolean[]>;

  constructor(needs: { connections: Connections; moves: Moves }) {
    this.#connections = needs.connections;
    this.#moves = needs.moves;
    this.#lane = new GroupCommit({
      run: (settles) => this.#run(settles),
      weigh: ({ settlements }) => ({ items: settlements.length, bytes: 0 }),
      itemsMax: TRANSACTION_SETTLEMENTS_MAX,
      bytesMax: Infinity,
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
    const settled = ones.flat().filter((one) => one?.settled === true);
    const again = settled.filter((one) => one?.settlement.as === 'retry').map((one) => one!.queue.key);
    const dead = settled.filter((one) => one?.settlement.as === 'dead').map((one) => one!.queue.dead);
    notices.heard(new Set([...again, ...dead.filter((key) => key !== null)]));
    return ones.map((ofOne) => ({ value: ofOne.map((one) => one?.settled === true) }));
  }

  async #resolve({ queue, settlements }: Settle): Promise<(One | undefined)[]> {
    const row = await this.#moves.queues.of(queue);
    return settlements.map((settlement) => {
      const receipt = parseReceipt(settlement.receipt);
      return receipt === undefined ? undefined : { queue, row, receipt, settlement, settled: false };
    });
  }

  async #apply(ones: One[]): Promise<void> {
    const done = ones.filter(({ settlement }) => settlement.as === 'done');
    // One statement is a transaction.
    if (done.length === ones.length) await this.#done(this.#connections, done);
    else await this.#connections.transaction((session) => this.#applyAll(session, ones));
  }

  async #applyAll(session: Session, ones: One[]): Promise<void> {
    const { now, writer, notices } = this.#moves;
    await this.#done(
      session,
      ones.filter(({ settlement }) => settlement.as === 'done'),
    );
    await this.#die(
      session,
      ones.filter(({ settlement }) => settlement.as === 'dead'),
    );
    const retries = ones.filter((one): one is One & { settlement: { as: 'retry' } } => one.settlement.as === 'retry');
    if (retries.length > 0) {
      const keys = new Set(retries.map(({ queue }) => queue.key));
      const rows = await session.rows<Settled>(RETRY, [
        ...namesOf(retries),
        now(),
        retries.map(({ settlement }) => Math.max(0, Math.round(settlement.delayMs))),
        retries.map(({ settlement }) => (settlement.unseen === true ? 1 : 0)),
        retries.map(({ settlement }) => settlement.error?.slice(0, ERROR_LENGTH_MAX) ?? null),
        writer,
        CHANNEL,
        notices.payloads(keys),
      ]);
      mark(retries, rows);
    }
    const extensions = ones.filter((one): one is One & { settlement: { as: 'extend' } } => one.settlement.as === 'extend');
    if (extensions.length > 0) {
      const leases = extensions.map(({ settlement }) => Math.max(0, Math.round(settlement.leaseMs)));
      mark(extensions, await session.rows<Settled>(EXTEND, [...namesOf(extensions), now(), leases]));
    }
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
        rows.map(({ seq }) => ({ queue: row.id, seq })),
      );
    }
  }
}

interface Settled {
  queue: number;
  seq: string;
}

function namesOf(ones: One[]): [number[], string[], string[]] {
  return [ones.map(({ row }) => row.id), ones.map(({ receipt }) => receipt.seq), ones.map(({ receipt }) => receipt.hold)];
}

function mark(ones: One[], rows: Settled[]): void {
  const settled = new Set(rows.map(({ queue, seq }) => `${queue} ${seq}`));
  for (const one of ones) one.settled = settled.has(`${one.row.id} ${one.receipt.seq}`);
}
