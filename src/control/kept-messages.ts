// What a deploy does to messages that wait: nothing, ever. Queues that virga.yaml stops naming keep theirs, and the deploy says how many;
// `fifo` of a queue with messages cannot change, since those that are in it have an order or have none. Called by new-state.ts.
import type { Bus, QueueStats } from '../events/bus.ts';
import { keyParts, queueKey } from '../events/queue-keys.ts';
import { topologyOf } from '../events/topology.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import type { Sql } from '../store/records/records.ts';
import { depthOf, statsOf } from './backlog.ts';
import { placeName } from './message-items.ts';
import { specsOf } from './project-sources.ts';

export interface EventsMove {
  project: string;
  before: { events: EventsSection | undefined; functions: Iterable<string> };
  after: { events: EventsSection | undefined; functions: Iterable<string> };
}

/** What stays behind in queues that are not named any more, for people; undefined: nothing. Asks the bus only where something was removed. */
export async function keptWarning(bus: Bus, { project, before, after }: EventsMove): Promise<string | undefined> {
  const still = specsOf(topologyOf(project, after.events, after.functions));
  const gone = [...specsOf(topologyOf(project, before.events, before.functions)).keys()].filter((key) => !still.has(key));
  if (gone.length === 0) return undefined;
  const stats = await statsOf(bus, gone);
  const kept = gone.filter((key) => depthOf(stats.get(key)) > 0);
  if (kept.length === 0) return undefined;
  const texts = kept.slice(0, 5).map((key) => `${placeName(key)} (${countText(stats.get(key))})`);
  const queue = kept.find((key) => keyParts(key).kind === 'queue');
  const remedy =
    queue === undefined
      ? '`virga deliveries` shows them'
      : `\`virga queues\` shows them, \`virga queues purge ${keyParts(queue).name}\` drops them`;
  return `messages are kept that nothing takes any more: ${texts.join(', ')}${kept.length > 5 ? ', …' : ''}; ${remedy}, and they are delivered if what takes them is deployed again`;
}

/** Fails with `queue_not_empty`. */
export async function requireSameOrder(sql: Sql, bus: Bus, { project, before, after }: EventsMove): Promise<void> {
  const queues = Object.entries(after.events?.queues ?? {});
  if (queues.length === 0) return;
  const left = await leftQueues(sql, {
    project,
    names: queues.map(([name]) => name).filter((name) => before.events?.queues?.[name] === undefined),
  });
  const changed = queues.filter(([name, { fifo = false }]) => {
    const was = before.events?.queues?.[name]?.fifo ?? (before.events?.queues?.[name] === undefined ? left.get(name) : false);
    return was !== undefined && was !== fifo;
  });
  if (changed.length === 0) return;
  const stats = await statsOf(
    bus,
    changed.map(([name]) => queueKey(project, 'queue', name)),
  );
  for (const [name, { fifo = false }] of changed) {
    const own = stats.get(queueKey(project, 'queue', name));
    if (depthOf(own) === 0) continue;
    throw new VirgaError(
      'queue_not_empty',
      `the queue '${name}' has ${countText(own)}, sent ${fifo ? 'without' : 'with'} an order, so \`fifo\` cannot become ${fifo}: wait until it is empty, drop them with \`virga queues purge ${name}\`, or give the new queue another name`,
      { detail: { queue: name, messages: depthOf(own) } },
    );
  }
}

/** Of queues that a former deployment had: whether they were `fifo`. */
async function leftQueues(sql: Sql, { project, names }: { project: string; names: string[] }): Promise<Map<string, boolean>> {
  if (names.length === 0) return new Map();
  const { rows } = await sql.query<{ name: string; fifo: boolean }>(
    `select distinct on (name) name, coalesce((d.state -> 'events' -> 'queues' -> name ->> 'fifo')::boolean, false) as fifo
       from deployments d, unnest($2::text[]) as name
      where d.project = $1 and d.state -> 'events' -> 'queues' ? name order by name, d.id desc`,
    [project, names],
  );
  return new Map(rows.map(({ name, fifo }) => [name, fifo]));
}

function countText(stats: QueueStats | undefined): string {
  const count = depthOf(stats);
  return `${count} message${count === 1 ? '' : 's'}`;
}
