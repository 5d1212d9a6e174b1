// Holdings that end without their receiver: those of an earlier process; and what is to be done when somebody sets the clock.
// Every time that is waited for is stored beside the span that was asked for, so that a time which lies further ahead than its span
// was written by a clock that has gone back since. Invariants: nothing waits longer than it was asked to, whatever the clock does; and
// no holding ends because the clock was set forward: it is given at most its full lease anew.
// A clock that is set is told from time that passes by a second, monotonic one, and for what happened before the start by the spans.
import type { Connections, Statement } from './connections.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';

/** Less is how clocks drift, or are slewed. */
const JUMP_MS_MIN = 1_000;
const STEP = 5_000;

const RECOVER: Statement = {
  name: 'bus-recover',
  text: `
with plain as (
  update event_messages m set state = 0, hold = null, holder = null, due_at = $2, wait_ms = 0
  from event_queues q where m.queue = q.id and m.state = 1 and m.holder = $1
  returning q.key
), groups as (
  update event_groups g set hold = null, holder = null, due_at = $2, wait_ms = 0
  from event_queues q where g.queue = q.id and g.hold is not null and g.holder = $1
  returning q.key, g.queue, g.name
), grouped as (
  update event_messages m set hold = null, holder = null, due_at = $2, wait_ms = 0
  from groups g where m.queue = g.queue and m.state = 2 and m.group_name = g.name and m.hold is not null
), partitions as (
  update event_consumers c set hold = null, holder = null, held_until = null
  from event_streams s where c.stream = s.id and c.hold is not null and c.holder = $1
  returning s.key
)
select key from plain union select key from groups union select key from partitions`,
};
const NOTIFY: Statement = { name: 'bus-recovered', text: `select count(pg_notify($1, payload)) from unnest($2::text[]) payload` };
const KEYS: Statement = { name: 'bus-clock-keys', text: `select key from event_queues` };
const IDS: Statement = { name: 'bus-clock-queues', text: `select id from event_queues` };

/** $2 is now, $3 by how much the clock has gone back, as far as that is known. */
const BACK: Statement[] = [
  ...[0, 1, 2].map((state) => ({
    name: `bus-clock-back-${state}`,
    text: `
with late as materialized (
  select seq from event_messages where queue = $1 and state = ${state} and due_at > $2::bigint and due_at > $2::bigint + wait_ms + ${JUMP_MS_MIN} limit ${STEP} for update
)
update event_messages m set due_at = greatest($2, least(m.due_at - $3, $2::bigint + m.wait_ms))
from late where m.queue = $1 and m.seq = late.seq returning 1`,
  })),
  ...['is', 'is not'].map((is) => ({
    name: `bus-clock-back-groups-${is.length}`,
    text: `
with late as materialized (
  select name from event_groups where queue = $1 and hold ${is} null and due_at > $2::bigint and due_at > $2::bigint + wait_ms + ${JUMP_MS_MIN} limit ${STEP} for update
)
update event_groups g set due_at = greatest($2, least(g.due_at - $3, $2::bigint + g.wait_ms))
from late where g.queue = $1 and g.name = late.name returning 1`,
  })),
  {
    name: 'bus-clock-back-deduplication',
    text: `
with late as materialized (
  select deduplication_id from event_deduplication where queue = $1 and sent_at > $2::bigint + ${JUMP_MS_MIN} limit ${STEP} for update
)
update event_deduplication d set sent_at = least($2, d.sent_at - $3)
from late where d.queue = $1 and d.deduplication_id = late.deduplication_id returning 1`,
  },
];
const BACK_CONSUMERS: Statement = {
  name: 'bus-clock-back-consumers',
  text: `
update event_consumers set held_until = least(held_until - $2, $1::bigint + lease_ms) where hold is not null and held_until > $1::bigint + lease_ms`,
};
/** $1 is now, $2 by how much the clock was set forward. */
const FORWARD: Statement[] = [
  {
    name: 'bus-clock-forward-messages',
    text: `
update event_messages m set due_at = least(m.due_at + $2, $1::bigint + m.wait_ms)
from event_queues q where m.queue = q.id and m.state = 1 and m.due_at < $1::bigint + m.wait_ms`,
  },
  {
    name: 'bus-clock-forward-groups',
    text: `
update event_groups g set due_at = least(g.due_at + $2, $1::bigint + g.wait_ms)
from event_queues q where g.queue = q.id and g.hold is not null and g.due_at < $1::bigint + g.wait_ms`,
  },
  {
    name: 'bus-clock-forward-consumers',
    text: `update event_consumers set held_until = least(held_until + $2, $1::bigint + lease_ms) where hold is not null`,
  },
];

export interface RecoveryNeeds {
  connections: Connections;
  notices: Notices;
  holder: string;
  now: () => number;
  monotonic: () => number;
  log: (level: 'info' | 'warn', message: string, fields?: Record<string, unknown>) => void;
}

export class Recovery {
  readonly #needs: RecoveryNeeds;
  /** How far the clock is ahead of the monotonic one, when that was last looked at. */
  #aheadMs: number | undefined;
  #repairing: Promise<void> | undefined;

  constructor(needs: RecoveryNeeds) {
    this.#needs = needs;
  }

  async recover(): Promise<void> {
    const { connections, notices, holder, now } = this.#needs;
    await this.clockIsRight();
    const keys = (await connections.rows<{ key: string }>(RECOVER, [holder, now()])).map(({ key }) => key);
    if (keys.length > 0) await connections.rows(NOTIFY, [CHANNEL, notices.payloads(keys)]);
    notices.heard(keys);
  }

  /** Before anything is decided by the time. Undefined where nothing is to be done, which is nearly always. */
  clockIsRight(): Promise<void> | undefined {
    const aheadMs = this.#needs.now() - this.#needs.monotonic();
    const before = this.#aheadMs;
    if (before !== undefined && Math.abs(aheadMs - before) < JUMP_MS_MIN) return this.#repairing;
    this.#aheadMs = aheadMs;
    const repair = async (): Promise<void> => {
      await this.#repairing?.catch(() => {});
      await this.#repair(before === undefined ? 0 : aheadMs - before);
    };
    const repairing = repair().finally(() => {
      if (this.#repairing === repairing) this.#repairing = undefined;
    });
    this.#repairing = repairing;
    // What was not repaired is tried again.
    repairing.catch(() => (this.#aheadMs = before));
    return repairing;
  }

  async #repair(jumpMs: number): Promise<void> {
    const { connections, now, log, notices } = this.#needs;
    if (jumpMs !== 0) log('warn', `the clock was set ${jumpMs > 0 ? 'forward' : 'back'} by ${Math.abs(Math.round(jumpMs))} ms`);
    if (jumpMs > 0) {
      for (const statement of FORWARD) await connections.rows(statement, [now(), Math.round(jumpMs)]);
      return;
    }
    const backMs = Math.round(-jumpMs);
    for (const { id } of await connections.rows<{ id: number }>(IDS, [])) {
      for (const statement of BACK) {
        while ((await connections.rows(statement, [id, now(), backMs])).length >= STEP);
      }
    }
    await connections.rows(BACK_CONSUMERS, [now(), backMs]);
    // What was to come later may be due now.
    if (jumpMs < 0) notices.heard((await connections.rows<{ key: string }>(KEYS, [])).map(({ key }) => key));
  }
}
