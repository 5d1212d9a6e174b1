// Records that are too old, or beyond the bytes of their stream, go: from the oldest end of a partition, in steps.
// Invariant: what a partition says of its oldest record and its bytes changes in the same statement. Callers: streams.ts, upkeep.ts.
import type { Connections, Statement } from './connections.ts';

const STEP = 1_000;
const STEPS_MAX = 200;

const STREAMS: Statement = { name: 'bus-upkeep-streams', text: `select id, retention_ms, bytes_max from event_streams order by id` };
const OLDEST: Statement = {
  name: 'bus-retention-oldest',
  text: `
select p.partition, (select r.at from event_records r where r.stream = p.stream and r.partition = p.partition and r.position >= p.oldest
  order by r.position limit 1) as at, (select sum(bytes) from event_partitions where stream = $1)::float8 as bytes
from event_partitions p where p.stream = $1 and p.newest >= p.oldest order by at`,
};
/** Those that were appended until $3, and those that are in the first $4 bytes. */
const REMOVE: Statement = {
  name: 'bus-retention-remove',
  text: `
with part as materialized (
  select oldest from event_partitions where stream = $1 and partition = $2 for update
), few as materialized (
  select position, bytes, at, sum(bytes) over (order by position) - bytes as before
  from (
    select position, bytes, at from event_records
    where stream = $1 and partition = $2 and position >= (select oldest from part) order by position limit ${STEP}
  ) r
), gone as (
  delete from event_records r
  where r.stream = $1 and r.partition = $2 and r.position = any(array(select f.position from few f where f.at <= $3 or f.before < $4))
  returning r.bytes
), sums as materialized (
  select count(*) as records, coalesce(sum(bytes), 0) as bytes from gone
), moved as (
  update event_partitions p set oldest = p.oldest + sums.records, bytes = p.bytes - sums.bytes from sums where p.stream = $1 and p.partition = $2
)
select records::int, bytes::float8 from sums`,
};

export async function keepStreams(connections: Connections, now: () => number): Promise<void> {
  for (const { id, retention_ms, bytes_max } of await connections.rows<{ id: number; retention_ms: string; bytes_max: string }>(
    STREAMS,
    [],
  )) {
    const before = now() - Number(retention_ms);
    for (const { partition, at } of await connections.rows<{ partition: number; at: string | null }>(OLDEST, [id])) {
      if (at === null || Number(at) > before) continue;
      for (let steps = 0; steps < STEPS_MAX; steps++) {
        const [row] = await connections.rows<{ records: number }>(REMOVE, [id, partition, before, 0]);
        if (row!.records < STEP) break;
      }
    }
    await trim(connections, { streamId: id, bytesMax: Number(bytes_max) });
  }
}

/** The partition whose oldest record is the oldest gives first. */
export async function trim(connections: Connections, { streamId, bytesMax }: { streamId: number; bytesMax: number }): Promise<void> {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const partitions = await connections.rows<{ partition: number; at: string; bytes: number }>(OLDEST, [streamId]);
    const [first, second] = partitions;
    if (first === undefined || first.bytes <= bytesMax) return;
    // No further than to where another partition has the oldest.
    const until = second === undefined ? Infinity : Number(second.at);
    const excess = first.bytes - bytesMax;
    await connections.rows(TRIM, [streamId, first.partition, until === Infinity ? null : until, excess]);
  }
}

/** As REMOVE, but only those that are in the first $4 bytes, and not newer than $3 but for the first. */
const TRIM: Statement = {
  name: 'bus-retention-trim',
  text: REMOVE.text.replace('f.at <= $3 or f.before < $4', 'f.before < $4 and (f.before = 0 or $3::bigint is null or f.at <= $3)'),
};
