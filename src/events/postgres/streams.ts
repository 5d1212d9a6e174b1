// Streams: records are appended to partitions, by the hash of their keys, and read by position. Calls to append() that come together are
// one transaction (group-commit.ts), which is one statement.
// Invariants: positions of a partition have no gaps, and no reader sees one before an earlier one: an appender locks the partition's
// row, in one order for all, gives positions from it, and commits; `at` never goes back, whatever the clock does; what is beyond the
// stream's bytes makes room, the oldest first. Called by postgres.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { NewRecord, PartitionStats, StreamRecord, StreamSpec } from '../bus.ts';
import { isFaultOfValues, retried } from './connections.ts';
import type { Connections, Statement } from './connections.ts';
import { GroupCommit } from '../../lib/group-commit.ts';
import type { Outcome, WaitingBounds } from '../../lib/group-commit.ts';
import { checkTexts } from './new-messages.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';
import { trim } from './retention.ts';
import type { StreamRows } from './stream-rows.ts';

const TRANSACTION_RECORDS_MAX = 2_000;
const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;
const CALL_RECORDS_MAX = 20_000;
const CALL_BYTES_MAX = 64 * 1024 * 1024;
const READ_MAX = 10_000;
/** A stream is let grow by this part over its bytes before it is trimmed: not with each append. */
const EXCESS_PART = 0.02;

const APPEND: Statement = {
  name: 'bus-append',
  text: `
with asked as materialized (
  select * from unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[]) as a (stream, partition, records, bytes)
), locked as materialized (
  select p.stream, p.partition, a.records, a.bytes from asked a join event_partitions p on p.stream = a.stream and p.partition = a.partition
  where p.stream = any($1::int[])
  order by p.stream, p.partition for update of p
), advanced as (
  update event_partitions p set newest = p.newest + l.records, bytes = p.bytes + l.bytes, newest_at = greatest(p.newest_at, $5)
  from locked l where p.stream = any($1::int[]) and p.stream = l.stream and p.partition = l.partition
  returning p.stream, p.partition, p.newest - l.records as before, p.newest_at
), added as (
  insert into event_records (stream, partition, position, at, bytes, id, partition_key, attributes, data)
  select a.stream, a.partition, a.before + r.place, a.newest_at, r.bytes, r.id, r.partition_key, r.attributes, r.data
  from unnest($6::int[], $7::int[], $8::bigint[], $9::int[], $10::text[], $11::text[], $12::text[], $13::text[])
    as r (stream, partition, place, bytes, id, partition_key, attributes, data)
  join advanced a on a.stream = r.stream and a.partition = r.partition
)
select stream, partition, before, case when (select count(*) from advanced) < (select count(*) from asked) then event_gone() end as gone,
  (select count(pg_notify($14, payload)) from unnest($15::text[]) payload) as told,
  (select sum(p.bytes) from event_partitions p where p.stream = advanced.stream)::float8 as bytes
from advanced`,
};
const READ: Statement = {
  name: 'bus-read',
  text: `
with few as materialized (
  select r.position, sum(r.bytes) over (order by r.position) as through, row_number() over (order by r.position) as place
  from (
    select position, bytes from event_records
    where stream = (select id from event_streams where key = $1) and partition = $2 and position > $3 order by position limit $4
  ) r
)
select r.partition, r.position, r.at, r.id, r.partition_key, r.attributes, r.data from event_records r
where r.stream = (select id from event_streams where key = $1) and r.partition = $2 and r.position > $3
  and r.position <= (select max(position) from few where through <= $5 or place = 1) order by r.position`,
};
const AT: Statement = {
  name: 'bus-record-at',
  text: `select at from event_records where stream = (select id from event_streams where key = $1) and partition = $2 and position = $3`,
};
const PARTITIONS: Statement = {
  name: 'bus-partitions',
  text: `
select p.partition, p.oldest, p.newest, p.bytes, p.newest_at
from event_streams s join event_partitions p on p.stream = s.id where s.key = $1 order by p.partition`,
};
/** Appenders that hold the row come first. */
const ADVANCE: Statement = {
  name: 'bus-advance',
  text: `
update event_partitions set newest_at = greatest(newest_at, $3)
where stream = (select id from event_streams where key = $1) and partition = $2 returning newest`,
};

interface Appended {
  record: NewRecord;
  attributes: string;
  bytes: number;
}

interface Append {
  stream: StreamSpec;
  records: Appended[];
  bytes: number;
}

/** Where a record goes. */
interface Place {
  streamId: number;
  partition: number;
  /** 1 for the first that this transaction appends to its partition. */
  place: number;
}

type Position = { partition: number; position: number };

export class Streams {
  readonly #connections: Connections;
  readonly #rows: StreamRows;
  readonly #notices: Notices;
  readonly #now: () => number;
  readonly #lane: GroupCommit<Append, Position[]>;

  constructor(needs: { connections: Connections; rows: StreamRows; notices: Notices; now: () => number; waiting: WaitingBounds }) {
    this.#connections = needs.connections;
    this.#rows = needs.rows;
    this.#notices = needs.notices;
    this.#now = needs.now;
    this.#lane = new GroupCommit({
      run: (appends) => this.#run(appends),
      weigh: ({ records, bytes }) => ({ items: records.length, bytes }),
      itemsMax: TRANSACTION_RECORDS_MAX,
      bytesMax: TRANSACTION_BYTES_MAX,
      waiting: needs.waiting,
    });
  }

  async append(stream: StreamSpec, records: NewRecord[]): Promise<Position[]> {
    const append = prepare(stream, records);
    return records.length === 0 ? [] : await this.#lane.add(append);
  }

  async idle(): Promise<void> {
    await this.#lane.idle();
  }

  async read(
    key: string,
    partition: number,
    { after, max, bytesMax }: { after: number; max: number; bytesMax: number },
  ): Promise<StreamRecord[]> {
    const rows = await this.#connections.rows<RecordRow>(READ, [key, partition, after, Math.max(1, Math.min(max, READ_MAX)), bytesMax]);
    return rows.map((row) => ({
      id: row.id,
      partitionKey: row.partition_key,
      data: row.data,
      attributes: JSON.parse(row.attributes) as Record<string, string>,
      partition: row.partition,
      position: Number(row.position),
      at: Number(row.at),
    }));
  }

  /** By halves: `at` never goes back. */
  async positionAt(key: string, partition: number, unixMs: number): Promise<number> {
    const stats = (await this.partitions(key)).find((one) => one.partition === partition);
    if (stats === undefined) return 0;
    let { oldest: low, newest: high } = stats;
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const [row] = await this.#connections.rows<{ at: string }>(AT, [key, partition, middle]);
      // One that is gone meanwhile was older than those that are kept.
      if (row === undefined || Number(row.at) < unixMs) low = middle + 1;
      else high = middle - 1;
    }
    return low - 1;
  }

  async partitions(key: string): Promise<PartitionStats[]> {
    const rows = await this.#connections.rows<
      Record<'oldest' | 'newest' | 'bytes', string> & { partition: number; newest_at: string | null }
    >(PARTITIONS, [key]);
    return rows.map(({ partition, oldest, newest, bytes, newest_at }) => ({
      partition,
      oldest: Number(oldest),
      newest: Number(newest),
      bytes: Number(bytes),
      newestAt: newest_at === null ? null : Number(newest_at),
    }));
  }

  /** The row says what `at` of the next record is at least, whoever appends it. */
  async advance(key: string, partition: number, unixMs: number): Promise<number> {
    const [row] = await this.#connections.rows<{ newest: string }>(ADVANCE, [key, partition, unixMs]);
    return Number(row?.newest ?? 0);
  }

  async #run(appends: Append[]): Promise<Outcome<Position[]>[]> {
    try {
      return await retried(
        () => this.#store(appends),
        () => this.#rows.forget(),
      );
    } catch (error) {
      if (appends.length === 1 || !isFaultOfValues(error)) throw error;
    }
    const outcomes: Outcome<Position[]>[] = [];
    for (const append of appends) {
      outcomes.push(...(await this.#run([append]).catch((error: unknown): Outcome<Position[]>[] => [{ error }])));
    }
    return outcomes;
  }

  async #store(appends: Append[]): Promise<Outcome<Position[]>[]> {
    const streams = new Map(appends.map(({ stream }) => [stream.key, stream]));
    const rows = new Map(
      await Promise.all([...streams.values()].map(async (stream) => [stream.key, await this.#rows.of(stream)] as const)),
    );
    const sums = new Map<string, { streamId: number; partition: number; records: number; bytes: number }>();
    const places = appends.map(({ stream, records }) =>
      records.map(({ record, bytes }): Place => {
        const streamId = rows.get(stream.key)!.id;
        const partition = partitionOf(record.partitionKey, rows.get(stream.key)!.partitions);
        const sum = sums.get(`${streamId} ${partition}`) ?? { streamId, partition, records: 0, bytes: 0 };
        sums.set(`${streamId} ${partition}`, sum);
        sum.bytes += bytes;
        return { streamId, partition, place: ++sum.records };
      }),
    );
    const asked = [...sums.values()];
    const flat = places.flat();
    const records = appends.flatMap((append) => append.records);
    const advanced = await this.#connections.rows<{ stream: number; partition: number; before: string; bytes: number }>(APPEND, [
      asked.map(({ streamId }) => streamId),
      asked.map(({ partition }) => partition),
      asked.map((sum) => sum.records),
      asked.map(({ bytes }) => bytes),
      this.#now(),
      flat.map(({ streamId }) => streamId),
      flat.map(({ partition }) => partition),
      flat.map(({ place }) => place),
      records.map(({ bytes }) => bytes),
      records.map(({ record }) => record.id),
      records.map(({ record }) => record.partitionKey),
      records.map(({ attributes }) => attributes),
      records.map(({ record }) => record.data),
      CHANNEL,
      this.#notices.payloads(streams.keys()),
    ]);
    this.#notices.heard(streams.keys());
    await this.#makeRoom([...streams.values()], rows, advanced);
    const before = new Map(advanced.map((row) => [`${row.stream} ${row.partition}`, Number(row.before)]));
    return places.map((ofOne) => ({
      value: ofOne.map(({ streamId, partition, place }) => ({ partition, position: before.get(`${streamId} ${partition}`)! + place })),
    }));
  }

  /** The records are stored already: what goes wrong here is for the upkeep. */
  async #makeRoom(streams: StreamSpec[], rows: Map<string, { id: number }>, advanced: { stream: number; bytes: number }[]): Promise<void> {
    for (const { key, bytesMax } of streams) {
      const { id } = rows.get(key)!;
      const bytes = Math.max(0, ...advanced.filter(({ stream }) => stream === id).map((row) => row.bytes));
      if (bytes > bytesMax * (1 + EXCESS_PART)) await trim(this.#connections, { streamId: id, bytesMax }).catch(() => {});
    }
  }
}

interface RecordRow {
  partition: number;
  position: string;
  at: string;
  id: string;
  partition_key: string;
  attributes: string;
  data: string;
}

function prepare(stream: StreamSpec, records: NewRecord[]): Append {
  let total = 0;
  const appended = records.map((record): Appended => {
    const attributes = JSON.stringify(record.attributes);
    const { id, partitionKey, data } = record;
    checkTexts('record', id, { id, data, attributes, partitionKey }, { id, partitionKey });
    const bytes = Buffer.byteLength(data) + Buffer.byteLength(attributes) + Buffer.byteLength(partitionKey);
    total += bytes;
    return { record, attributes, bytes };
  });
  if (records.length > CALL_RECORDS_MAX || total > CALL_BYTES_MAX) {
    throw new VirgaError(
      'request_too_large',
      `${records.length} records of ${total} bytes are too many for one call: at most ${CALL_RECORDS_MAX} of ${CALL_BYTES_MAX} bytes; append them in several`,
    );
  }
  return { stream, records: appended, bytes: total };
}

/** FNV-1a: the same in every process, and for as long as the number of partitions is the same. */
function partitionOf(key: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) % partitions;
}
