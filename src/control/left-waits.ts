// A deploy after which events are not brought any more to runs that wait for them: it says so, since nobody else would notice before their
// time is up. Called by new-state.ts.
import { passes } from '../events/filters.ts';
import { eventsOf } from '../events/workflows/workflow-rules.ts';
import type { Sql } from '../store/records/records.ts';
import type { EventsMove } from './kept-messages.ts';

const SHOWN_MAX = 5;

/** For people; undefined: there are none. Asks only where a workflow says less than before. */
export async function waitsWarning(sql: Sql, { project, before, after }: EventsMove): Promise<string | undefined> {
  const [was, is] = [before.events?.workflows ?? {}, after.events?.workflows ?? {}];
  const less = Object.keys(was).filter((fn) => {
    const old = eventsOf(was[fn]);
    return old !== undefined && JSON.stringify(old) !== JSON.stringify(eventsOf(is[fn]));
  });
  if (less.length === 0) return undefined;
  const { rows } = await sql.query<{ function: string; type: string; runs: number }>(
    `select r.function, split_part(s.waits_for, chr(10), 2) as type, count(distinct r.run)::int as runs
       from workflow_steps s join workflow_runs r on r.run = s.run
      where s.state = 'waiting' and s.waits_for > $1 || chr(10) and s.waits_for < $1 || chr(11) and r.function = any($2) group by 1, 2 order by 1, 2`,
    [project, less],
  );
  // A type that another workflow names is brought to all that wait for it.
  const brought = Object.values(is)
    .map(eventsOf)
    .filter((pattern) => pattern !== undefined);
  const left = rows.filter(({ type }) => !brought.some((pattern) => passes(pattern, { type })));
  if (left.length === 0) return undefined;
  const texts = left.slice(0, SHOWN_MAX).map(({ function: fn, type, runs }) => `${runs} of '${fn}' for '${type}'`);
  return `runs wait for events that are not brought to them any more: ${texts.join(', ')}${left.length > SHOWN_MAX ? ', …' : ''}; name the types under \`workflow: { events: [...] }\` again, or cancel the runs`;
}
