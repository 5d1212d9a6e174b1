// What the adapter knows of the streams: the number that stands for a key, and that its partitions have rows. Kept in memory, by key.
// Invariant: a partition is there before a record of it is written. Callers: streams.ts, consumers.ts.
import type { StreamSpec } from '../bus.ts';
import type { Connections, Statement } from './connections.ts';

const REMEMBERED_MAX = 10_000;

/** Partitions may be added, and never go: keys would be read out of order. */
const UPSERT: Statement = {
  name: 'bus-stream',
  text: `
with stream as (
  insert into event_streams as s (key, partitions, retention_ms, bytes_max) values ($1, $2, $3, $4)
  on conflict (key) do update set partitions = greatest(s.partitions, excluded.partitions), retention_ms = excluded.retention_ms, bytes_max = excluded.bytes_max
  returning id, partitions
), parts as (
  insert into event_partitions (stream, partition) select id, n from stream, generate_series(0, partitions - 1) n on conflict do nothing
)
select id, partitions from stream`,
};

export interface StreamRow {
  id: number;
  partitions: number;
}

export class StreamRows {
  readonly #connections: Connections;
  readonly #known = new Map<string, { row: Promise<StreamRow>; said: string }>();

  constructor(connections: Connections) {
    this.#connections = connections;
  }

  async of({ key, partitions, retentionMs, bytesMax }: StreamSpec): Promise<StreamRow> {
    const said = `${partitions} ${retentionMs} ${bytesMax}`;
    const known = this.#known.get(key);
    if (known?.said === said) return await known.row;
    const row = this.#connections.rows<StreamRow>(UPSERT, [key, partitions, retentionMs, bytesMax]).then((rows) => rows[0]!);
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    const entry = { row, said };
    this.#known.set(key, entry);
    try {
      return await row;
    } catch (error) {
      if (this.#known.get(key) === entry) this.#known.delete(key);
      throw error;
    }
  }

  forget(key?: string): void {
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }
}
