// Looking at queues without touching them: messages, statistics, keys, what is due. Called by postgres.ts.
import type { QueueStats, StoredMessage } from '../bus.ts';
import type { Connections, Statement } from './connections.ts';
import { heldOf } from './groups.ts';
import { MESSAGE_COLUMNS, toMessage } from './messages.ts';
import type { MessageRow } from './messages.ts';

const PEEK_MAX = 1_000;

const PEEK: Statement = {
  name: 'bus-peek',
  text: `
select ${MESSAGE_COLUMNS} from event_messages m
where m.queue = (select id from event_queues where key = $1) and m.seq > $2 order by m.seq limit $3`,
};
/** Dead letters are found by an index; all else is walked through, which it seldom is: about half a second for a million. An
 * index of all ids would be a sixth more WAL for every message that is sent and settled. */
const FIND: Statement = {
  name: 'bus-find',
  text: `
(select ${MESSAGE_COLUMNS} from event_messages m
where m.queue = (select id from event_queues where key = $1) and m.id = $2 and m.died_at is not null limit 1)
union all
(select ${MESSAGE_COLUMNS} from event_messages m
where m.queue = (select id from event_queues where key = $1) and m.id = $2 order by m.seq limit 1)
limit 1`,
};
const KEYS: Statement = {
  name: 'bus-keys',
  text: `
select key from event_queues where starts_with(key, $1) union select key from event_streams where starts_with(key, $1) order by key`,
};
const DUE: Statement = {
  name: 'bus-due',
  text: `
select q.key, least(
  (select m.due_at from event_messages m where m.queue = q.id and m.state = 0 order by m.due_at, m.seq limit 1),
  (select m.due_at from event_messages m where m.queue = q.id and m.state = 1 order by m.due_at limit 1),
  (select g.due_at from event_groups g where g.queue = q.id and g.hold is null order by g.due_at, g.name limit 1),
  (select g.due_at from event_groups g where g.queue = q.id and g.hold is not null order by g.due_at limit 1)
) as at
from event_queues q`,
};
const STATS: Statement = {
  name: 'bus-stats',
  text: `
select q.key, c.*, s.*
from event_queues q
join lateral (
  select sum(messages)::float8 as messages, sum(bytes)::float8 as bytes, sum(sent)::float8 as sent, sum(done)::float8 as done,
    sum(retried)::float8 as retried, sum(dead)::float8 as dead
  from event_counters where queue = q.id
) c on true
join lateral (
  select
    (select count(*) from event_messages m where m.queue = q.id and m.state = 1)::float8
      + (select count(*) from event_groups g cross join lateral ${heldOf('q.id')} m where g.queue = q.id and g.hold is not null) as held,
    (select count(*) from event_messages m where m.queue = q.id and m.state = 0 and m.due_at > $2)::float8
      + (select count(*) from event_messages m where m.queue = q.id and m.state = 2 and m.hold is null and m.wait_ms > 0 and m.due_at > $2) as delayed,
    coalesce(
      (select min(o.sent_at) from (
        select m.sent_at, m.hold, m.due_at from event_messages m where m.queue = q.id order by m.seq limit 1000
      ) o where o.hold is null and o.due_at <= $2),
      (select m.sent_at from event_messages m where m.queue = q.id and m.state = 0 and m.due_at <= $2 order by m.due_at, m.seq limit 1)
    ) as oldest_at
) s on true
where q.key = any($1)`,
};

interface StatsRow {
  key: string;
  messages: number | null;
  bytes: number;
  sent: number;
  done: number;
  retried: number;
  dead: number;
  held: number;
  delayed: number;
  oldest_at: string | null;
}

export class Inspection {
  readonly #connections: Connections;
  readonly #now: () => number;

  constructor(needs: { connections: Connections; now: () => number }) {
    this.#connections = needs.connections;
    this.#now = needs.now;
  }

  async peek(key: string, { after = '0', limit }: { after?: string; limit: number }): Promise<StoredMessage[]> {
    if (!/^\d{1,18}$/.test(after)) return [];
    const rows = await this.#connections.rows<MessageRow>(PEEK, [key, after, Math.min(PEEK_MAX, limit)]);
    return rows.map((row) => toMessage(row, this.#now()));
  }

  async find(key: string, id: string): Promise<StoredMessage | undefined> {
    const [row] = await this.#connections.rows<MessageRow>(FIND, [key, id]);
    return row === undefined ? undefined : toMessage(row, this.#now());
  }

  async keys(prefix: string): Promise<string[]> {
    return (await this.#connections.rows<{ key: string }>(KEYS, [prefix])).map(({ key }) => key);
  }

  async due(): Promise<{ key: string; at: number }[]> {
    const rows = await this.#connections.rows<{ key: string; at: string | null }>(DUE, []);
    return rows.filter(({ at }) => at !== null).map(({ key, at }) => ({ key, at: Number(at) }));
  }

  /** In the order of the keys; a queue that does not exist has nothing. */
  async stats(keys: string[]): Promise<QueueStats[]> {
    const rows = await this.#connections.rows<StatsRow>(STATS, [keys, this.#now()]);
    const byKey = new Map(rows.map((row) => [row.key, row]));
    return keys.map((key) => {
      const row = byKey.get(key);
      if (row === undefined || row.messages === null) {
        return { key, pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null, sent: 0, done: 0, retried: 0, dead: 0 };
      }
      const { messages, held, delayed, bytes, sent, done, retried, dead } = row;
      const oldestAt = row.oldest_at === null ? null : Number(row.oldest_at);
      return { key, pending: Math.max(0, messages - held - delayed), delayed, held, bytes, oldestAt, sent, done, retried, dead };
    });
  }
}
