// Settling: calls that come together are one transaction (group-commit.ts), across queues.
// Invariants: only what is still held under its receipt is settled; what is counted of it is counted in the same transaction.
// Called by postgres.ts.
import type { QueueSpec, Settlement } from '../bus.ts';
import { retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { extendGroups, releaseGroups } from './groups.ts';
import { GroupCommit } from '../../lib/group-commit.ts';
import type { Outcome, WaitingBounds } from '../../lib/group-commit.ts';
import { errorText, HOLDING, holdingOf, parseReceipt, RECEIVE_MAX, wholeMs } from './messages.ts';
import type { Receipt } from './messages.ts';
import { die } from './moves.ts';
import type { Moves } from './moves.ts';
import { CHANNEL } from './notices.ts';
import type { QueueRow } from './queues.ts';

const TRANSACTION_SETTLEMENTS_MAX = 2_000;

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

/**
 * $1 and $2 of each statement: queues and sequence numbers, by which the rows are found; $3: by holding, what becomes of each.
 */
const ASKED = `m.queue = any($1::int[]) and m.seq = any($2::bigint[]) and $3::jsonb ? ${HOLDING}`;
const SETTLED = `m.queue, m.seq, ${HOLDING} as holding, case when m.state = 2 then m.group_name end as group_name`;
const DONE: Statement = {
  name: 'bus-done',
  text: `
with gone as (
  delete from event_messages m where ${ASKED} returning m.bytes, ${SETTLED}
), sums as materialized (
  select queue, count(*) as messages, sum(bytes) as bytes from gone group by queue
), counted as (
  update event_counters c set messages = c.messages - s.messages, bytes = c.bytes - s.bytes, done = c.done + s.messages
  from sums s where c.queue = any($1::int[]) and c.queue = s.queue and c.writer = $4
)
select holding, group_name from gone`,
};
const RETRY: Statement = {
  name: 'bus-retry',
  text: `
with held as materialized (
  select ${SETTLED}, $3::jsonb -> ${HOLDING} as said from event_messages m where ${ASKED} for update
), back as (
  update event_messages m set state = case m.state when 1 then 0 else m.state end, hold = null, holder = null,
    due_at = $4 + ($3::jsonb -> ${HOLDING} ->> 'delayMs')::bigint, wait_ms = ($3::jsonb -> ${HOLDING} ->> 'delayMs')::bigint,
    attempt = m.attempt - ($3::jsonb -> ${HOLDING} ->> 'unseen')::int,
    last_error = coalesce($3::jsonb -> ${HOLDING} ->> 'error', m.last_error),
    first_received_at = case when m.attempt > ($3::jsonb -> ${HOLDING} ->> 'unseen')::int then m.first_received_at end
  where m.queue = any($1::int[]) and m.seq = any(array(select seq from held))
), sums as materialized (
  select queue, count(*) as messages from held where said ->> 'unseen' = '0' group by queue
), counted as (
  update event_counters c set retried = c.retried + s.messages from sums s where c.queue = any($1::int[]) and c.queue = s.queue and c.writer = $5
)
select holding, group_name, (select count(pg_notify($6, payload)) from unnest($7::text[]) payload) from held`,
};
const EXTEND: Statement = {
  name: 'bus-extend',
  text: `
update event_messages m set due_at = $4 + ($3::jsonb ->> ${HOLDING})::bigint, wait_ms = ($3::jsonb ->> ${HOLDING})::bigint
where ${ASKED} returning ${SETTLED}`,
};
/** What was held together with the first of a group that is retried, and comes after it: among the messages of one receive. */
const UNSEE: Statement = {
  name: 'bus-unsee',
  text: `
update event_messages m set hold = null, holder = null, due_at = $5, wait_ms = 0, attempt = m.attempt - 1,
  first_received_at = case when m.attempt > 1 then m.first_received_at end
where m.queue = any($1::int[]) and m.seq = any(array(
  select held.seq from unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[]) as a (queue, seq, hold, group_name)
  cross join lateral (
    select seq, hold from event_messages where queue = a.queue and state = 2 and group_name = a.group_name and seq > a.seq
    order by seq limit ${RECEIVE_MAX}
  ) held where held.hold = a.hold
)) and m.hold = any($3::bigint[])`,
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
      ...asked(ones, ({ settlement: { delayMs, unseen, error } }) => ({
        delayMs: wholeMs(delayMs),
        unseen: unseen === true ? 1 : 0,
        error: errorText(error),
      })),
      nowMs,
      this.#moves.writer,
      CHANNEL,
      this.#moves.notices.payloads(new Set(ones.map(({ queue }) => queue.key))),
    ]);
    mark(ones, rows);
    const firsts = new Map<string, Retry>();
    for (const one of ones) {
      const key = `${one.row.id} ${one.receipt.hold} ${one.group}`;
      const first = firsts.get(key);
      if (one.group !== null && (first === undefined || BigInt(one.receipt.seq) < BigInt(first.receipt.seq))) firsts.set(key, one);
    }
    const grouped = [...firsts.values()];
    if (grouped.length === 0) return;
    await session.rows(UNSEE, [
      grouped.map(({ row }) => row.id),
      grouped.map(({ receipt }) => receipt.seq),
      grouped.map(({ receipt }) => receipt.hold),
      grouped.map(({ group }) => group),
      nowMs,
    ]);
  }

  async #extend(session: Session, ones: Extension[], nowMs: number): Promise<void> {
    if (ones.length === 0) return;
    mark(ones, await session.rows<Settled>(EXTEND, [...asked(ones, ({ settlement }) => wholeMs(settlement.leaseMs)), nowMs]));
    const groups = ones.flatMap(({ row, receipt, settlement, group }) =>
      group === null ? [] : [{ queueId: row.id, name: group, hold: receipt.hold, leaseMs: wholeMs(settlement.leaseMs) }],
    );
    await extendGroups(session, groups, nowMs);
  }

  async #done(session: Session, ones: One[]): Promise<void> {
    if (ones.length > 0) mark(ones, await session.rows<Settled>(DONE, [...asked(ones, () => 0), this.#moves.writer]));
  }

  async #die(session: Session, ones: One[]): Promise<void> {
    for (const ofQueue of Map.groupBy(ones, ({ row }) => row.id).values()) {
      const { queue, row } = ofQueue[0]!;
      const rows = await die(this.#moves, session, {
        queue,
        row,
        reason: 'rejected',
        receivedAgain: false,
        ones: ofQueue.map(({ receipt, settlement }) => ({ ...receipt, error: settlement.as === 'dead' ? settlement.error : undefined })),
      });
      mark(ofQueue, rows);
    }
  }
}

type Retry = One & { settlement: { as: 'retry' } };
type Extension = One & { settlement: { as: 'extend' } };

interface Settled {
  holding: string;
  group_name: string | null;
}

/** What ASKED asks for, with what is said of each. */
function asked<O extends One>(ones: O[], say: (one: O) => unknown): [number[], string[], string] {
  return [
    [...new Set(ones.map(({ row }) => row.id))],
    ones.map(({ receipt }) => receipt.seq),
    JSON.stringify(Object.fromEntries(ones.map((one) => [holdingOf(one.row.id, one.receipt), say(one)]))),
  ];
}

function mark(ones: One[], rows: Settled[]): void {
  const settled = new Map(rows.map((row) => [row.holding, row]));
  for (const one of ones) {
    const row = settled.get(holdingOf(one.row.id, one.receipt));
    one.settled = row !== undefined;
    one.group = row?.group_name ?? null;
  }
}
