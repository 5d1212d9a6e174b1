// Taking away: messages of a queue, or a queue or stream with all that is in it. In steps, so that no transaction is long.
// Invariants: what a receiver holds is not purged; what was dropped is gone at once, and what is left of it is removed now or, after a
// crash, by the next upkeep. Callers: postgres.ts, upkeep.ts.
import { retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { refreshGroups } from './groups.ts';
import type { Moves } from './moves.ts';

const STEP = 1_000;

const BOUNDS: Statement = {
  name: 'bus-purge-bounds',
  text: `
select q.id, coalesce((select m.seq from event_messages m where m.queue = q.id order by m.seq desc limit 1), 0) as last
from event_queues q where q.key = $1`,
};
const PURGE: Statement = {
  name: 'bus-purge',
  text: `
with victims as materialized (
  select seq from event_messages where queue = $1 and seq > $2 and seq <= $3 and hold is null and ($4::text is null or id = $4)
  order by seq limit ${STEP} for update skip locked
), gone as (
  delete from event_messages m where m.queue = $1 and m.seq = any(array(select seq from victims)) and m.hold is null
  returning m.seq, m.bytes, m.state, m.group_name
), sums as materialized (
  select count(*) as messages, coalesce(sum(bytes), 0) as bytes from gone
), counted as (
  update event_counters c set messages = c.messages - sums.messages, bytes = c.bytes - sums.bytes
  from sums where c.queue = $1 and c.writer = $5
  returning 1
)
select (select count(*) from gone)::int as removed, (select max(seq) from victims) as last,
  array(select distinct group_name from gone where state = 2) as groups,
  case when (select count(*) from counted) < 1 then event_gone() end as gone`,
};
const DROP: Statement = {
  name: 'bus-drop',
  text: `
with queue as (delete from event_queues where key = $1 returning id),
stream as (delete from event_streams where key = $1 returning id)
insert into event_leavings (kind, id) select 'queue', id from queue union all select 'stream', id from stream returning kind, id`,
};
const LEAVINGS: Statement = { name: 'bus-leavings', text: `select kind, id from event_leavings` };
const REMOVE = {
  queue: [removal('event_messages', 'queue'), removal('event_groups', 'queue'), removal('event_deduplication', 'queue')],
  stream: [removal('event_records', 'stream')],
};
const FORGET: Statement = { name: 'bus-leavings-forget', text: `delete from event_leavings where kind = $1 and id = $2` };

interface Leaving {
  kind: 'queue' | 'stream';
  id: number;
}

export class Removal {
  readonly #connections: Connections;
  readonly #moves: Moves;

  constructor(needs: { connections: Connections; moves: Moves }) {
    this.#connections = needs.connections;
    this.#moves = needs.moves;
  }

  /** What is there now and not held; what is sent meanwhile stays. */
  async purge(key: string, { id }: { id?: string } = {}): Promise<number> {
    // Its row of counters, too.
    const [bounds] = await this.#connections.rows<{ id: number; last: string }>(BOUNDS, [key]);
    if (bounds === undefined) return 0;
    await this.#moves.queues.ofDead(key);
    let removed = 0;
    let after: string | null = '0';
    while (after !== null) {
      const from: string = after;
      const step = await retried(
        () => this.#connections.transaction((session) => this.#purgeStep(session, bounds, { from, id })),
        () => this.#moves.queues.forget(key),
      );
      removed += step.removed;
      after = step.last;
    }
    return removed;
  }

  async #purgeStep(
    session: Session,
    { id: queueId, last }: { id: number; last: string },
    { from, id }: { from: string; id: string | undefined },
  ): Promise<{ removed: number; last: string | null }> {
    const values = [queueId, from, last, id ?? null, this.#moves.writer];
    const [row] = await session.rows<{ removed: number; last: string | null; groups: string[] }>(PURGE, values);
    await refreshGroups(session, queueId, row!.groups);
    return row!;
  }

  async drop(key: string): Promise<void> {
    const left = await this.#connections.rows<Leaving>(DROP, [key]);
    this.#moves.queues.forget(key);
    for (const leaving of left) await this.#remove(leaving);
  }

  /** Of what was dropped by a process that did not live to remove it. */
  async removeLeavings(): Promise<void> {
    for (const leaving of await this.#connections.rows<Leaving>(LEAVINGS, [])) await this.#remove(leaving);
  }

  async #remove({ kind, id }: Leaving): Promise<void> {
    for (const statement of REMOVE[kind]) {
      while ((await this.#connections.rows(statement, [id])).length > 0);
    }
    await this.#connections.rows(FORGET, [kind, id]);
  }
}

function removal(table: string, owner: string): Statement {
  return {
    name: `bus-remove-${table}`,
    text: `
delete from ${table} where ctid = any(array(select ctid from ${table} where ${owner} = $1 limit ${STEP} for update)) returning 1`,
  };
}
