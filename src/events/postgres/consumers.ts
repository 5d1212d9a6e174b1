// Who reads a stream, and how far it has come: one row for each consumer and partition, which one process holds at a time.
// Invariants: a partition that another process holds is not given out before its lease ends; a commit by who lost the partition changes
// nothing; a partition that is added later is read from its beginning. Called by postgres.ts.
import type { PartitionHold, StreamSpec } from '../bus.ts';
import type { Connections, Statement } from './connections.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';
import type { StreamRows } from './stream-rows.ts';

const JOIN: Statement = {
  name: 'bus-consumer-join',
  text: `
insert into event_consumers (stream, consumer, partition, position)
select p.stream, $2, p.partition,
  case when $3 = 'oldest' or exists (select from event_consumers c where c.stream = $1 and c.consumer = $2) then p.oldest - 1 else p.newest end
from event_partitions p
where p.stream = $1 and not exists (select from event_consumers c where c.stream = $1 and c.consumer = $2 and c.partition = p.partition)
on conflict do nothing`,
};
/** Its own first, which keep their hold. */
const HOLD: Statement = {
  name: 'bus-consumer-hold',
  text: `
with free as materialized (
  select partition from event_consumers
  where stream = $1 and consumer = $2 and (hold is null or holder = $3 or held_until <= $4)
  order by (hold is not null and holder = $3) desc, partition limit $5 for update skip locked
)
update event_consumers c set hold = case when c.hold is not null and c.holder = $3 then c.hold else $6 end,
  holder = $3, held_until = $4::bigint + $7, lease_ms = $7
from free f where c.stream = $1 and c.consumer = $2 and c.partition = f.partition
returning c.partition, c.position, c.state, c.hold`,
};
const EXISTS: Statement = { name: 'bus-stream-exists', text: `select 1 from event_streams where id = $1` };
const COMMIT: Statement = {
  name: 'bus-consumer-commit',
  text: `
update event_consumers set position = $5, state = $6, held_until = $7::bigint + $8, lease_ms = $8
where stream = (select id from event_streams where key = $1) and consumer = $2 and partition = $3 and hold = $4 returning 1`,
};
const RELEASE: Statement = {
  name: 'bus-consumer-release',
  text: `
with released as (
  update event_consumers set hold = null, holder = null, held_until = null
  where stream = (select id from event_streams where key = $1) and consumer = $2 and holder = $3 returning 1
)
select count(pg_notify($4, payload)) from unnest($5::text[]) payload where exists (select from released)`,
};
const SEEK: Statement = {
  name: 'bus-consumer-seek',
  text: `
with sought as (
  insert into event_consumers (stream, consumer, partition, position)
  select p.stream, $2, p.partition, $4 from event_streams s join event_partitions p on p.stream = s.id where s.key = $1 and p.partition = $3
  on conflict (stream, consumer, partition) do update set position = excluded.position, state = null, hold = null, holder = null, held_until = null
  returning 1
)
select count(pg_notify($5, payload)) from unnest($6::text[]) payload where exists (select from sought)`,
};
const LIST: Statement = {
  name: 'bus-consumers',
  text: `
select c.consumer, c.partition, c.position, c.held_until
from event_streams s join event_consumers c on c.stream = s.id where s.key = $1 order by c.consumer, c.partition`,
};
const TRIES_MAX = 5;

export interface ConsumersNeeds {
  connections: Connections;
  rows: StreamRows;
  notices: Notices;
  holder: string;
  now: () => number;
  newHold: () => number;
}

export class Consumers {
  readonly #needs: ConsumersNeeds;

  constructor(needs: ConsumersNeeds) {
    this.#needs = needs;
  }

  async hold(
    stream: StreamSpec,
    consumer: string,
    { max, leaseMs, from }: { max: number; leaseMs: number; from: 'oldest' | 'newest' },
  ): Promise<PartitionHold[]> {
    const { connections, rows, holder, now, newHold } = this.#needs;
    for (let tries = 1; ; tries++) {
      const { id } = await rows.of(stream);
      const held = await connections.session(async (session) => {
        await session.rows(JOIN, [id, consumer, from]);
        return await session.rows<HoldRow>(HOLD, [id, consumer, holder, now(), max, newHold(), leaseMs]);
      });
      const gone = held.length === 0 && (await connections.rows(EXISTS, [id])).length === 0;
      if (!gone || tries >= TRIES_MAX) return held.map(toHold).toSorted((a, b) => a.partition - b.partition);
      rows.forget(stream.key);
    }
  }

  async commit(
    key: string,
    consumer: string,
    { partition, receipt }: PartitionHold,
    to: { position: number; state: string | null; leaseMs: number },
  ): Promise<boolean> {
    const { connections, now } = this.#needs;
    if (!/^\d{1,16}$/.test(receipt)) return false;
    const values = [key, consumer, partition, receipt, to.position, to.state, now(), to.leaseMs];
    return (await connections.rows(COMMIT, values)).length > 0;
  }

  async release(key: string, consumer: string): Promise<void> {
    const { connections, holder, notices } = this.#needs;
    await connections.rows(RELEASE, [key, consumer, holder, CHANNEL, notices.payloads([key])]);
  }

  async seek(key: string, consumer: string, partition: number, position: number): Promise<void> {
    const { connections, notices } = this.#needs;
    await connections.rows(SEEK, [key, consumer, partition, Math.max(0, position), CHANNEL, notices.payloads([key])]);
    notices.heard([key]);
  }

  async list(key: string): Promise<{ consumer: string; partition: number; position: number; heldUntil: number | null }[]> {
    const rows = await this.#needs.connections.rows<ConsumerRow>(LIST, [key]);
    return rows.map(({ consumer, partition, position, held_until }) => ({
      consumer,
      partition,
      position: Number(position),
      heldUntil: held_until === null ? null : Number(held_until),
    }));
  }
}

interface HoldRow {
  partition: number;
  position: string;
  state: string | null;
  hold: string;
}

interface ConsumerRow {
  consumer: string;
  partition: number;
  position: string;
  held_until: string | null;
}

function toHold({ partition, position, state, hold }: HoldRow): PartitionHold {
  return { partition, position: Number(position), state, receipt: hold };
}
