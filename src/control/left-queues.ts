// Takes away what nothing is left in: queues and streams of the bus that no project names any more, and all of projects that are gone.
// Invariant: one with messages or records is never dropped here, unless its project was removed. Part of housekeeping, and of removing a project.
import { isStreamKey, keyParts } from '../events/queue-keys.ts';
import { topologyOf } from '../events/topology.ts';
import { depthOf, statsOf } from './backlog.ts';
import type { ControlContext } from './context.ts';
import { findProject } from './project-records.ts';
import { specsOf } from './project-sources.ts';

/** An edge that has not heard of a deployment yet may still send to what it removed. */
const SETTLED_MS = 600_000;
const DROPPED_MAX = 1_000;

type Needs = Pick<ControlContext, 'records' | 'bus' | 'now'>;

/** Of a project that is being removed, or was: all, with what is in it. */
export async function dropAll({ bus }: Pick<Needs, 'bus'>, project: string): Promise<number> {
  const keys = await bus.keys(`${project}/`);
  for (const key of keys) await bus.drop(key);
  return keys.length;
}

export async function dropLeftQueues(needs: Needs, signal: AbortSignal): Promise<number> {
  const { records, bus, now } = needs;
  const byProject = Map.groupBy(await bus.keys(''), (key) => keyParts(key).project);
  let dropped = 0;
  for (const [project, keys] of byProject) {
    if (signal.aborted || dropped >= DROPPED_MAX) break;
    const { rows } = await records.query<{ at: Date | null }>(
      'select d.created_at as at from projects p left join deployments d on d.id = p.current_deployment where p.name = $1',
      [project],
    );
    if (rows[0] === undefined) dropped += await dropAll(needs, project);
    else if (rows[0].at === null || rows[0].at.getTime() < now() - SETTLED_MS) dropped += await dropEmpty(needs, project, keys);
  }
  return dropped;
}

async function dropEmpty({ records, bus }: Needs, project: string, keys: readonly string[]): Promise<number> {
  const found = await findProject(records, project);
  if (found === undefined) return 0;
  const topology = topologyOf(project, found.state.events, Object.keys(found.state.functions));
  const specs = specsOf(topology);
  const streams = [...topology.streams.values()].map(({ spec }) => spec.key);
  const named = new Set([...specs.keys(), ...streams, ...[...specs.values()].flatMap(({ dead }) => dead ?? [])]);
  const left = keys.filter((key) => !named.has(key));
  const queues = left.filter((key) => !isStreamKey(key));
  const stats = await statsOf(bus, queues);
  const empty = queues.filter((key) => depthOf(stats.get(key)) === 0);
  // Also a stream is kept until retention has taken its last record.
  for (const key of left.filter(isStreamKey))
    if ((await bus.partitions(key)).every(({ oldest, newest }) => newest < oldest)) empty.push(key);
  for (const key of empty) await bus.drop(key);
  return empty.length;
}
