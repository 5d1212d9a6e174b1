// Dead letters go back to where they came from, oldest first. Invariant: a step moves all that it answers for, or nothing; those whose
// queue is not there any more stay. Called by postgres.ts.
import type { QueueSpec } from '../bus.ts';
import { retried } from './connections.ts';
import type { Connections, Statement } from './connections.ts';
import { refreshGroups } from './groups.ts';
import { comeBack } from './moves.ts';
import type { Moves } from './moves.ts';

const STEP = 500;

const QUEUE: Statement = { name: 'bus-redrive-queue', text: `select 1 from event_queues where key = $1` };
const LETTERS: Statement = {
  name: 'bus-redrive-letters',
  text: `
select seq, died_in from event_messages where queue = $1 and seq > $2 and hold is null order by seq limit ${STEP} for update skip locked`,
};
/** By the index of the dead. */
const LETTER: Statement = {
  name: 'bus-redrive-letter',
  text: `
select seq, died_in from event_messages where queue = $1 and seq > $2 and hold is null and id = $3 and died_at is not null limit ${STEP} for update skip locked`,
};

export interface RedriveOptions {
  to?: QueueSpec;
  targetOf: (from: string) => QueueSpec | undefined;
  max: number;
  id?: string;
}

export async function redrive(connections: Connections, moves: Moves, key: string, options: RedriveOptions): Promise<number> {
  if ((await connections.rows(QUEUE, [key])).length === 0) return 0;
  let moved = 0;
  let after: string | undefined = '0';
  while (after !== undefined && moved < options.max) {
    const from: string = after;
    const max = options.max - moved;
    const step = await retried(
      () => redriveStep(connections, moves, key, { ...options, max, from }),
      () => moves.queues.forget(),
    );
    moved += step.moved;
    after = step.last;
  }
  return moved;
}

async function redriveStep(
  connections: Connections,
  moves: Moves,
  key: string,
  { to, targetOf, max, id, from }: RedriveOptions & { from: string },
): Promise<{ moved: number; last: string | undefined }> {
  const row = await moves.queues.ofDead(key);
  const { moved, last, heard } = await connections.transaction(async (session) => {
    const which = id === undefined ? { statement: LETTERS, values: [row.id, from] } : { statement: LETTER, values: [row.id, from, id] };
    const letters = await session.rows<{ seq: string; died_in: string | null }>(which.statement, which.values);
    const targets = new Map<string, { spec: QueueSpec; seqs: string[] }>();
    let taken = 0;
    for (const { seq, died_in } of letters) {
      const spec = to ?? (died_in === null ? undefined : targetOf(died_in));
      if (spec === undefined || spec.key === key || taken >= max) continue;
      const target = targets.get(spec.key) ?? { spec, seqs: [] };
      target.seqs.push(seq);
      targets.set(spec.key, target);
      taken++;
    }
    let count = 0;
    for (const { spec, seqs } of targets.values()) {
      const gone = await comeBack(moves, session, { from: row, target: await moves.queues.of(spec), seqs });
      count += gone.length;
      const groups = gone.map(({ group_name }) => group_name).filter((name) => name !== null);
      await refreshGroups(session, row.id, [...new Set(groups)]);
    }
    return { moved: count, last: letters.at(-1)?.seq, heard: [...targets.keys()] };
  });
  moves.notices.heard(heard);
  return { moved, last };
}
