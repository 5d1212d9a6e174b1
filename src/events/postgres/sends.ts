// Sending: calls that come together are stored by one transaction (group-commit.ts).
// Invariants: of a call all is stored or nothing; a queue that is full, or a value that Postgres does not take, fails the call that it is
// of and no other; what was answered is on disk. Messages of a group are stored under a lock that is taken before their sequence
// numbers are drawn, so that no reader sees a later one before an earlier one (fifo.ts). Called by postgres.ts.
import type { VirgaError } from '../../protocol/errors.ts';
import type { SendBatch, SendResult } from '../bus.ts';
import { depths, fullOnes } from './admission.ts';
import { isFaultOfValues, retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { claim } from './deduplication.ts';
import { lockGroups, openGroups } from './groups.ts';
import { GroupCommit } from '../../lib/group-commit.ts';
import type { Outcome, WaitingBounds } from '../../lib/group-commit.ts';
import { errorText } from './messages.ts';
import { delayOf, isDeduplicated, isGrouped, prepare } from './new-messages.ts';
import type { Fresh, Send } from './new-messages.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';
import type { Queues } from './queues.ts';

const TRANSACTION_MESSAGES_MAX = 2_000;
const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;

const ADD: Statement = {
  name: 'bus-send',
  text: `
with added as (
  insert into event_messages (queue, seq, state, due_at, wait_ms, sent_at, bytes, id, group_name, deduplication_id, attributes, body)
  select queue, nextval('event_sequence'), state, $10 + wait_ms, wait_ms, $10, bytes, id, group_name, deduplication_id, attributes, body
  from unnest($1::int[], $2::smallint[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    as m (queue, state, wait_ms, bytes, id, group_name, deduplication_id, attributes, body)
  returning seq
), counted as (
  update event_counters c set messages = c.messages + s.messages, bytes = c.bytes + s.bytes, sent = c.sent + s.messages
  from unnest($11::int[], $12::bigint[], $13::bigint[]) as s (queue, messages, bytes)
  where c.queue = any($11::int[]) and c.queue = s.queue and c.writer = $14
  returning 1
)
select (select string_agg(seq::text, ',') from added) as sequences,
  (select count(pg_notify($15, payload)) from unnest($16::text[]) payload) as told,
  case when (select count(*) from counted) < cardinality($11::int[]) then event_gone() end as gone`,
};
/** Messages that are dead letters from the beginning are few: a statement of their own costs the others nothing. */
const DIED: Statement = {
  name: 'bus-send-died',
  text: `
update event_messages m set died_at = m.sent_at, died_in = d.died_in, died_of = d.died_of, last_error = d.error
from unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[]) as d (queue, seq, died_in, died_of, error)
where m.queue = any($1::int[]) and m.seq = any($2::bigint[]) and m.queue = d.queue and m.seq = d.seq`,
};

export class Sends {
  readonly #connections: Connections;
  readonly #queues: Queues;
  readonly #notices: Notices;
  readonly #writer: string;
  readonly #now: () => number;
  readonly #lane: GroupCommit<Send, SendResult[][]>;

  constructor(needs: {
    connections: Connections;
    queues: Queues;
    notices: Notices;
    writer: string;
    now: () => number;
    waiting: WaitingBounds;
  }) {
    this.#connections = needs.connections;
    this.#queues = needs.queues;
    this.#notices = needs.notices;
    this.#writer = needs.writer;
    this.#now = needs.now;
    this.#lane = new GroupCommit({
      run: (sends) => this.#run(sends),
      weigh: ({ messages, bytes }) => ({ items: messages.length, bytes }),
      itemsMax: TRANSACTION_MESSAGES_MAX,
      bytesMax: TRANSACTION_BYTES_MAX,
      waiting: needs.waiting,
    });
  }

  async send(batches: SendBatch[]): Promise<SendResult[][]> {
    const send = prepare(batches);
    if (send.messages.length === 0) return batches.map(() => []);
    return await this.#lane.add(send);
  }

  async idle(): Promise<void> {
    await this.#lane.idle();
  }

  async #run(sends: Send[]): Promise<Outcome<SendResult[][]>[]> {
    try {
      return await retried(
        () => this.#store(sends),
        () => this.#queues.forget(),
      );
    } catch (error) {
      if (sends.length === 1 || !isFaultOfValues(error)) throw error;
    }
    const outcomes: Outcome<SendResult[][]>[] = [];
    for (const send of sends) {
      outcomes.push(...(await this.#run([send]).catch((error: unknown): Outcome<SendResult[][]>[] => [{ error }])));
    }
    return outcomes;
  }

  async #store(sends: Send[]): Promise<Outcome<SendResult[][]>[]> {
    const messages = sends.flatMap((send) => send.messages);
    const specs = new Map(messages.map(({ queue }) => [queue.key, queue]));
    const ids = new Map(await Promise.all([...specs.values()].map(async (spec) => [spec.key, (await this.#queues.of(spec)).id] as const)));
    for (const message of messages) {
      message.queueId = ids.get(message.queue.key)!;
      message.duplicateOf = undefined;
    }
    const plain = !messages.some(
      ({ queue, message }) => isGrouped(queue, message) || isDeduplicated(queue, message) || message.died !== undefined,
    );
    const outcomes = plain
      ? await this.#connections.session((session) => this.#storePlain(session, sends))
      : await this.#connections.transaction((session) => this.#storeOrdered(session, sends));
    this.#notices.heard(new Set(messages.map(({ queue }) => queue.key)));
    return outcomes;
  }

  async #storePlain(session: Session, sends: Send[]): Promise<Outcome<SendResult[][]>[]> {
    const full = fullOnes(sends, await depths(session, sends));
    const sequences = await this.#add(session, stored(sends, full));
    return outcomesOf(sends, full, sequences);
  }

  async #storeOrdered(session: Session, sends: Send[]): Promise<Outcome<SendResult[][]>[]> {
    const nowMs = this.#now();
    // The groups' locks come first: whoever waits for them has drawn no sequence number yet.
    const grouped = sends.flatMap((send) => send.messages.filter(({ queue, message }) => isGrouped(queue, message)));
    await lockGroups(
      session,
      grouped.map(({ queueId, message }) => ({ queueId, name: message.group! })),
    );
    const depth = await depths(session, sends);
    const claims = await claim(session, sends, nowMs);
    const full = fullOnes(sends, depth, claims);
    await claims.settle(session);
    const messages = stored(sends, full);
    // Not of what is refused or there already: nobody would take their rows away.
    const opened = messages.filter(({ queue, message }) => isGrouped(queue, message));
    await openGroups(
      session,
      opened.map(({ queueId, message }) => ({ queueId, name: message.group!, waitMs: delayOf(message) })),
      nowMs,
    );
    const sequences = await this.#add(session, messages);
    return outcomesOf(sends, full, sequences);
  }

  async #add(session: Session, messages: Fresh[]): Promise<string[]> {
    if (messages.length === 0) return [];
    const sums = new Map<number, { messages: number; bytes: number }>();
    for (const { queueId, bytes } of messages) {
      const sum = sums.get(queueId) ?? { messages: 0, bytes: 0 };
      sum.messages++;
      sum.bytes += bytes;
      sums.set(queueId, sum);
    }
    const counted = [...sums].toSorted(([a], [b]) => a - b);
    const [row] = await session.rows<{ sequences: string }>(ADD, [
      messages.map(({ queueId }) => queueId),
      messages.map(({ queue, message }) => (isGrouped(queue, message) ? 2 : 0)),
      messages.map(({ message }) => delayOf(message)),
      messages.map(({ bytes }) => bytes),
      messages.map(({ message }) => message.id),
      messages.map(({ message }) => message.group ?? null),
      messages.map(({ message }) => message.deduplicationId ?? null),
      messages.map(({ attributes }) => attributes),
      messages.map(({ message }) => message.body),
      this.#now(),
      counted.map(([queueId]) => queueId),
      counted.map(([, sum]) => sum.messages),
      counted.map(([, sum]) => sum.bytes),
      this.#writer,
      CHANNEL,
      this.#notices.payloads(new Set(messages.map(({ queue }) => queue.key))),
    ]);
    const sequences = row!.sequences.split(',');
    await markDied(session, messages, sequences);
    return sequences;
  }
}

async function markDied(session: Session, messages: Fresh[], sequences: string[]): Promise<void> {
  const dead = messages.flatMap(({ queueId, message: { died } }, index) =>
    died === undefined ? [] : [{ queueId, sequence: sequences[index]!, died }],
  );
  if (dead.length === 0) return;
  await session.rows(DIED, [
    dead.map(({ queueId }) => queueId),
    dead.map(({ sequence }) => sequence),
    dead.map(({ died }) => died.from),
    dead.map(({ died }) => died.reason),
    dead.map(({ died }) => errorText(died.error)),
  ]);
}

function stored(sends: Send[], full: Map<Send, VirgaError>): Fresh[] {
  return sends.filter((send) => !full.has(send)).flatMap((send) => send.messages.filter(({ duplicateOf }) => duplicateOf === undefined));
}

function outcomesOf(sends: Send[], full: Map<Send, VirgaError>, sequences: string[]): Outcome<SendResult[][]>[] {
  let at = 0;
  return sends.map((send) => {
    const error = full.get(send);
    if (error !== undefined) return { error };
    const results = send.messages.map(({ message, duplicateOf }): SendResult => {
      if (duplicateOf !== undefined) return { result: 'duplicate', id: duplicateOf };
      return { result: 'sent', id: message.id, sequence: sequences[at++]! };
    });
    let from = 0;
    return { value: send.batches.map(({ messages }) => results.slice(from, (from += messages.length))) };
  });
}
