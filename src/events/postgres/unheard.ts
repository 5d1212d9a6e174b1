// Receivings whose answer was lost: Postgres may have handed out messages, and nobody knows which. They are given back when the
// queue is asked again, and not when their lease ends. Invariant: only what one of these receivings holds is touched: its number
// was chosen before it was sent. Called by receives.ts.
import type { Connections, Statement } from './connections.ts';
import { CUT } from './recovery.ts';
import { heldOf } from './groups.ts';

/** While Postgres is away each try has a number too, which holds nothing. */
const HOLDS_MAX = 100;

const GIVE_BACK: Statement = {
  name: 'bus-give-back',
  text: `
with plain as (
  update event_messages m set state = 0, ${CUT} where m.queue = $3 and m.state = 1 and m.holder = $1 and m.hold = any($4::bigint[])
), groups as (
  update event_groups g set hold = null, holder = null, due_at = $2, wait_ms = 0
  where g.queue = $3 and g.hold is not null and g.holder = $1 and g.hold = any($4::bigint[])
  returning g.name
)
update event_messages m set ${CUT}
where m.queue = $3 and m.hold is not null and m.seq = any(array(select held.seq from groups g cross join lateral ${heldOf('$3')} held))`,
};

export class Unheard {
  /** By queue; the first ones, which were sent before it was known that Postgres is away. */
  readonly #holds = new Map<string, number[]>();

  note(key: string, holds: readonly number[]): void {
    const noted = this.#holds.get(key) ?? [];
    if (noted.length + holds.length <= HOLDS_MAX) this.#holds.set(key, [...noted, ...holds]);
  }

  async giveBack(
    connections: Connections,
    queue: { key: string; id: number },
    { holder, nowMs }: { holder: string; nowMs: number },
  ): Promise<void> {
    const holds = this.#holds.get(queue.key);
    if (holds === undefined) return;
    await connections.rows(GIVE_BACK, [holder, nowMs, queue.id, holds]);
    this.#holds.delete(queue.key);
  }
}
