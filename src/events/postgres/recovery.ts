// Holdings that end without their receiver: those of an earlier process; and what is to be done when somebody sets the clock.
// Every time that is waited for is stored beside the span that was asked for, so that a time which lies further ahead than its span
// was written by a clock that has gone back since. Invariants: nothing waits longer than it was asked to, whatever the clock does; and
// no holding ends because the clock was set forward: it is given at most its full lease anew.
// A clock that is set is told from time that passes by a second, monotonic one, and for what happened before the start by the spans.
import type { Connections, Statement } from './connections.ts';
import { heldOf } from './groups.ts';
import { CHANNEL } from './notices.ts';
import type { Notices } from './notices.ts';

/** Less is how clocks drift, or are slewed. */
const JUMP_MS_MIN = 1_000;
const STEP = 2_000;

/** Whoever received it ended, or never heard of it: that was no attempt, but counts against the receives that a message may have. $2: now. */
export const CUT = `hold = null, holder = null, due_at = $2, wait_ms = 0, attempt = m.attempt - 1, cuts = m.cuts + 1,
    first_received_at = case when m.attempt > 1 then m.first_received_at end`;
const RECOVER: Statement = {
  name: 'bus-recover',
  text: `
with plain as (
  update event_messages m set state = 0, ${CUT}
  from event_queues q where m.queue = q.id and m.state = 1 and m.holder = $1
  returning q.key
), groups as (
  update event_groups g set hold = null, holder = null, due_at = $2, wait_ms = 0
  from event_queues q where g.queue = q.id and g.hold is not null and g.holder = $1
  returning q.key, g.queue, g.name
), grouped as (
  update event_messages m set ${CUT}
  where m.queue = any(array(select queue from groups)) and m.hold is not null
    and m.seq = any(array(select held.seq from groups g cross join lateral ${heldOf('g.queue')} held))
), partitions as (
  update event_consumers c set hold = null, holder = null, held_until = null
  from event_streams s where c.stream = s.id and c.hold is not null and c.holder = $1
  returning s.key
)
select key from plain union select key from groups union select key from partitions`,
};
const NOTIFY: Statement = { name: 'bus-recovered', text: `select count(pg_notify($1, payload)) from unnest($2::text[]) payload` };
const KEYS: Statement = { name: 'bus-clock-keys', text: `select key from event_queues` };

/** $1 is now, $2 by how much the clock has gone back, as far as that is known. Of each queue so many at a time, by its index. */
const back = (table: string, key: string, where: string): Statement => ({
  name: `bus-clock-back-${table}-${where.replaceAll(/\W/g, '')}`,
  text: `
with late as materialized (
  select l.queue, l.${key} from event_queues q cross join lateral (
    select t.queue, t.${key} from ${table} t
    where t.queue = q.id and t.${where} and t.due_at > $1::bigint + ${JUMP_MS_MIN} and t.due_at > $1::bigint + t.wait_ms + ${JUMP_MS_MIN} limit ${STEP}
  ) l
)
update ${table} t set due_at = greatest($1, least(t.due_at - $2, $1::bigint + t.wait_ms))
where t.queue = any(array(select queue from late)) and t.${key} = any(array(select ${key} from late)) and t.due_at > $1::bigint + t.wait_ms + ${JUMP_MS_MIN} returning 1`,
});
const BACK: Statement[] = [
  back('event_messages', 'seq', 'state = 0'),
  back('event_messages', 'seq', 'state = 1'),
  back('event_messages', 'seq', 'state = 2'),
  back('event_groups', 'name', 'hold is null'),
  back('event_groups', 'name', 'hold is not null'),
  {
    name: 'bus-clock-back-deduplication',
    text: `
with late as materialized (
  select l.queue, l.deduplication_id from event_queues q cross join lateral (
    select queue, deduplication_id from event_deduplication where queue = q.id and sent_at > $1::bigint + ${JUMP_MS_MIN} limit ${STEP}
  ) l
)
update event_deduplication d set sent_at = least($1, d.sent_at - $2)
where d.queue = any(array(select queue from late)) and d.deduplication_id = any(array(select deduplication_id from late)) and d.sent_at > $1::bigint + ${JUMP_MS_MIN} returning 1`,
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
    for (const statement of BACK) {
      while ((await connections.rows(statement, [now(), backMs])).length >= STEP);
    }
    await connections.rows(BACK_CONSUMERS, [now(), backMs]);
    // What was to come later may be due now.
    if (jumpMs < 0) notices.heard((await connections.rows<{ key: string }>(KEYS, [])).map(({ key }) => key));
  }
}
