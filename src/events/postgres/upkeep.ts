// What is due of upkeep: messages that are too old die, deduplication ids that are too old are forgotten, what is left of dropped queues
// is removed, old records make room. In steps, each a transaction of its own; of one queue so many at a time, so that none holds up
// the others. Called by postgres.ts, every minute by one process.
import { retried } from './connections.ts';
import type { Connections, Session, Statement } from './connections.ts';
import { refreshGroups } from './groups.ts';
import { die } from './moves.ts';
import type { Moves } from './moves.ts';

const STEP = 1_000;
const STEPS_MAX = 100;

const QUEUES: Statement = {
  name: 'bus-upkeep-queues',
  text: `select id, key, fifo, dead, retention_ms, deduplication_ms from event_queues order by id`,
};
/** The oldest come first; a dead letter ages from its death. Only what is old is locked, so that nothing is written where nothing is. */
const OLD: Statement = {
  name: 'bus-upkeep-old',
  text: `
select seq from event_messages where queue = $1 and hold is null and seq = any(array(
  select seq from (
    select seq, coalesce(died_at, sent_at) as since from event_messages where queue = $1 and hold is null order by seq limit ${STEP}
  ) o where since <= $2
)) order by seq for update skip locked`,
};
const FORGET: Statement = {
  name: 'bus-upkeep-deduplication',
  text: `
with old as materialized (
  select deduplication_id from event_deduplication where queue = $1 and sent_at <= $2 order by sent_at limit ${STEP} for update skip locked
)
delete from event_deduplication d where d.queue = $1 and d.deduplication_id = any(array(select deduplication_id from old)) and d.sent_at <= $2 returning 1`,
};

interface Row {
  id: number;
  key: string;
  fifo: boolean;
  dead: string | null;
  retention_ms: string;
  deduplication_ms: string;
}

export async function keepQueues(connections: Connections, moves: Moves): Promise<void> {
  for (const queue of await connections.rows<Row>(QUEUES, [])) {
    await inSteps(async () => {
      const count = await retried(
        () => connections.transaction((session) => expire(moves, session, queue)),
        () => moves.queues.forget(),
      );
      if (count > 0 && queue.dead !== null) moves.notices.heard([queue.dead]);
      return count;
    });
    const before = moves.now() - Number(queue.deduplication_ms);
    await inSteps(async () => (await connections.rows(FORGET, [queue.id, before])).length);
  }
}

/** Until a step finds less than it could. */
async function inSteps(step: () => Promise<number>): Promise<void> {
  for (let steps = 0; steps < STEPS_MAX && (await step()) >= STEP; steps++);
}

async function expire(moves: Moves, session: Session, queue: Row): Promise<number> {
  const old = await session.rows<{ seq: string }>(OLD, [queue.id, moves.now() - Number(queue.retention_ms)]);
  if (old.length === 0) return 0;
  // Its row of counters, too.
  const row = await moves.queues.ofDead(queue.key);
  if (row.id !== queue.id) return 0;
  const ones = old.map(({ seq }) => ({ seq, hold: null }));
  const gone = await die(moves, session, { queue, row, reason: 'expired', receivedAgain: false, ones });
  const groups = gone.map(({ group_name }) => group_name).filter((name) => name !== null);
  await refreshGroups(session, queue.id, [...new Set(groups)]);
  return old.length;
}
