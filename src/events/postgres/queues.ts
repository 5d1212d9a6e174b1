// What the adapter knows of the queues: the number that stands for a key, and that their rows say what their specs say. Kept in
// memory, by key. Invariants: a queue is there before anything of it is written; what this process counts of it has a row of its own.
// A queue that was taken away meanwhile is found out by whoever writes to it (event_gone), who calls forget().
import type { QueueSpec } from '../bus.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { groupAll } from './groups.ts';

export interface QueueRow {
  id: number;
  key: string;
  fifo: boolean;
}

const REMEMBERED_MAX = 10_000;
/** Of a queue of dead letters that nobody has described: 14 days. */
const DEAD_RETENTION_MS = 14 * 86_400_000;

const UPSERT: Statement = {
  name: 'bus-queue',
  text: `
with queue as (
  insert into event_queues as q (key, fifo, retention_ms, deduplication_ms, dead) values ($1, $2, $3, $4, $5)
  on conflict (key) do update set fifo = excluded.fifo, retention_ms = excluded.retention_ms, deduplication_ms = excluded.deduplication_ms, dead = excluded.dead
  returning id, fifo
), counters as (
  insert into event_counters (queue, writer) select id, w from queue, unnest($6::text[]) w on conflict do nothing
)
select id, fifo, fifo and exists (select from event_queues where key = $1 and not fifo) as grouped from queue`,
};
/** For receivers: who asks a queue that was dropped does not make it anew. */
const UPDATE: Statement = {
  name: 'bus-queue-update',
  text: `
with queue as (
  update event_queues set fifo = $2, retention_ms = $3, deduplication_ms = $4, dead = $5 where key = $1 returning id, fifo
), counters as (
  insert into event_counters (queue, writer) select id, w from queue, unnest($6::text[]) w on conflict do nothing
)
select id, fifo, fifo and exists (select from event_queues where key = $1 and not fifo) as grouped from queue`,
};
const LOOK: Statement = { name: 'bus-dead-queue-look', text: `select id, fifo from event_queues where key = $1` };
const ENSURE: Statement = {
  name: 'bus-dead-queue',
  text: `
with queue as (
  insert into event_queues as q (key, fifo, retention_ms, deduplication_ms, dead) values ($1, false, $2, 0, null)
  on conflict (key) do update set key = excluded.key returning id, fifo
), counters as (
  insert into event_counters (queue, writer) select id, w from queue, unnest($3::text[]) w on conflict do nothing
)
select id, fifo from queue`,
};

export class Queues {
  readonly #connections: Connections;
  /** Rows of event_counters that this process writes. */
  readonly #writers: string[];
  /** By key, with what was last said of it. */
  readonly #known = new Map<string, { row: Promise<QueueRow>; said: string }>();

  constructor(connections: Connections, writers: string[]) {
    this.#connections = connections;
    this.#writers = writers;
  }

  async of(spec: QueueSpec): Promise<QueueRow> {
    const known = this.#known.get(spec.key);
    if (known?.said === saidOf(spec)) return await known.row;
    return await this.#learn(spec.key, saidOf(spec), async () => (await this.#ask(UPSERT, spec))!);
  }

  /** undefined: nothing was ever sent to it, or it was dropped. */
  async ofExisting(spec: QueueSpec): Promise<QueueRow | undefined> {
    const known = this.#known.get(spec.key);
    if (known?.said === saidOf(spec)) return await known.row;
    const row = await this.#ask(UPDATE, spec);
    if (row !== undefined) this.#remember(spec.key, { row: Promise.resolve(row), said: saidOf(spec) });
    return row;
  }

  /** A queue of dead letters: it is made if it is not there, and left as it is if it is. `session`: where it is looked at. */
  async ofDead(key: string, session: Session = this.#connections): Promise<QueueRow> {
    const known = this.#known.get(key);
    if (known !== undefined) {
      const row = await known.row;
      if (known.said !== '') return row;
      // Nobody here was told what it is, but it may have been said elsewhere since.
      const [now] = await session.rows<{ id: number; fifo: boolean }>(LOOK, [key]);
      if (now?.id === row.id) return { ...row, fifo: now.fifo };
    }
    return await this.#learn(key, '', async () => {
      const [row] = await this.#connections.rows<{ id: number; fifo: boolean }>(ENSURE, [key, DEAD_RETENTION_MS, this.#writers]);
      return { ...row!, key };
    });
  }

  forget(key?: string): void {
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }

  async #ask(statement: Statement, { key, fifo, retentionMs, deduplicationMs, dead }: QueueSpec): Promise<QueueRow | undefined> {
    const values = [key, fifo, retentionMs, deduplicationMs, dead, this.#writers];
    const [row] = await this.#connections.rows<{ id: number; fifo: boolean; grouped: boolean }>(statement, values);
    if (row === undefined) return undefined;
    // What died before anybody said that the queue has groups.
    if (row.grouped) await this.#connections.transaction((session) => groupAll(session, row.id));
    return { id: row.id, fifo: row.fifo, key };
  }

  async #learn(key: string, said: string, ask: () => Promise<QueueRow>): Promise<QueueRow> {
    const entry = { row: ask(), said };
    this.#remember(key, entry);
    try {
      return await entry.row;
    } catch (error) {
      if (this.#known.get(key) === entry) this.#known.delete(key);
      throw error;
    }
  }

  #remember(key: string, entry: { row: Promise<QueueRow>; said: string }): void {
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(key, entry);
  }
}

function saidOf({ fifo, retentionMs, deduplicationMs, dead }: QueueSpec): string {
  return `${fifo} ${retentionMs} ${deduplicationMs} ${dead}`;
}
