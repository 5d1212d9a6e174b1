// What a project has on the bus, for the operations on queues, topics, deliveries and dead letters: what is deployed, as its topology, and
// what is there in fact, which may be more: a queue that left virga.yaml stays until nothing is left in it. Invariant: a name that does not
// exist fails with the one that was probably meant.
import type { Bus, QueueSpec } from '../events/bus.ts';
import { keyParts, queueKey } from '../events/queue-keys.ts';
import { topologyOf } from '../events/topology.ts';
import type { Topology } from '../events/topology.ts';
import { closestWord } from '../lib/closest-word.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { Sql } from '../store/records/records.ts';
import { requireProject } from './project-records.ts';

/** Fails with `project_not_found`. */
export async function requireTopology(sql: Sql, project: string): Promise<Topology> {
  const { state } = await requireProject(sql, project);
  return topologyOf(project, state.events, Object.keys(state.functions));
}

export interface NamedQueue {
  name: string;
  key: string;
  /** undefined: it is removed from virga.yaml, and still has messages. */
  declared: { spec: QueueSpec; visibilityMs: number } | undefined;
}

/** Queues of the project by name, those that were removed among them. */
export async function namedQueues(bus: Bus, topology: Topology): Promise<NamedQueue[]> {
  const { project } = topology;
  const there = (await bus.keys(queueKey(project, 'queue', ''))).map((key) => keyParts(key).name);
  return [...new Set([...topology.queues.keys(), ...there])]
    .sort()
    .map((name) => ({ name, key: queueKey(project, 'queue', name), declared: topology.queues.get(name) }));
}

/** Fails with `queue_not_found`. */
export async function requireQueue(bus: Bus, topology: Topology, name: string): Promise<NamedQueue> {
  const declared = topology.queues.get(name);
  if (declared !== undefined) return { name, key: declared.spec.key, declared };
  const queues = await namedQueues(bus, topology);
  const found = queues.find((queue) => queue.name === name);
  if (found !== undefined) return found;
  throw queueNotFound(
    topology.project,
    name,
    queues.map((queue) => queue.name),
  );
}

/** Fails with `queue_not_found` also where the queue is only what is left of one. */
export function requireDeclaredQueue(topology: Topology, name: string): NonNullable<NamedQueue['declared']> {
  const declared = topology.queues.get(name);
  if (declared === undefined) throw queueNotFound(topology.project, name, [...topology.queues.keys()]);
  return declared;
}

function queueNotFound(project: string, name: string, known: readonly string[]): VirgaError {
  return new VirgaError('queue_not_found', `project '${project}' has no queue '${name}'${hint(name, known, 'queues')}`);
}

export function topicNotFound(project: string, name: string, known: readonly string[]): VirgaError {
  return new VirgaError('topic_not_found', `project '${project}' has no topic '${name}'${hint(name, known, 'topics')}`);
}

/** `; did you mean …?`, or what there is. */
export function hint(name: string, known: readonly string[], plural: string): string {
  const meant = closestWord(name, known);
  if (meant !== undefined) return `; did you mean '${meant}'?`;
  if (known.length === 0) return `; it has no ${plural}`;
  return `; it has ${known.slice(0, 5).join(', ')}${known.length > 5 ? ', …' : ''}`;
}

/** The specs of all that the project declares, by key: where dead letters can go back to. */
export function specsOf(topology: Topology): Map<string, QueueSpec> {
  const specs = new Map<string, QueueSpec>();
  for (const { spec } of topology.queues.values()) specs.set(spec.key, spec);
  for (const { queue } of topology.consumers) specs.set(queue.key, queue);
  return specs;
}
