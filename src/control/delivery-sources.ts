// Where the messages of a project are on their way: the queues of the bus that belong to it, by kind and name (`queue/orders`,
// `topic/prices/ship`), and the function behind each. Used by the operations on deliveries and dead letters.
import type { Bus } from '../events/bus.ts';
import { isStreamKey, keyParts } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import { VirgaError } from '../protocol/errors.ts';
import { z } from '@hono/zod-openapi';
import { takerOf } from './list-queues.ts';
import { placeName } from './message-items.ts';
import { hint, specsOf } from './project-sources.ts';

/** Records of streams are read, redrives are our own work. */
function isDelivered(key: string): boolean {
  return !isStreamKey(key) && keyParts(key).kind !== 'redrive' && keyParts(key).kind !== 'dead';
}

export const sourceName = z
  .string()
  .regex(/^[a-z0-9][a-zA-Z0-9_/-]{0,199}$/, 'must be a source such as orders, queue/orders or topic/prices/ship');

/** Keys of the project's queues, sorted; without those of dead letters. */
export async function deliveryKeys(bus: Bus, project: string): Promise<string[]> {
  return (await bus.keys(`${project}/`)).filter(isDelivered).sort();
}

/** Where dead letters may lie: kept by Virga, or in queues of the project that are named for it. Sorted. */
export async function deadKeys(bus: Bus, topology: Topology): Promise<string[]> {
  const named = [...specsOf(topology).values()].flatMap(({ dead }) => (dead !== null && keyParts(dead).kind === 'queue' ? [dead] : []));
  const kept = await bus.keys(`${topology.project}/dead/`);
  return [...new Set([...kept, ...named])].sort();
}

/** Whether a source is meant by what was asked for: itself, all below it, or a name alone. */
export function isMeant(source: string, asked: string): boolean {
  if (source === asked || source.startsWith(`${asked}/`)) return true;
  return !asked.includes('/') && source.split('/')[1] === asked;
}

/** Fails with `source_not_found` where nothing is meant by it. */
export function requireSource(topology: Topology, asked: string, there: readonly string[]): void {
  const known = new Set([...specsOf(topology).keys(), ...there].map(placeName));
  if ([...known].some((source) => isMeant(source, asked))) return;
  const names = [...known].flatMap((source) => [source, source.split('/')[1]!]);
  throw new VirgaError(
    'source_not_found',
    `nothing of project '${topology.project}' is delivered from '${asked}'${hint(asked, asked.includes('/') ? [...known] : names, 'sources')}`,
  );
}

/** The function behind a queue, also of one that was removed. */
export function functionOf(topology: Topology, key: string): string | null {
  const taker = takerOf(topology, key);
  if (taker !== null) return taker;
  const { kind, name } = keyParts(key);
  const parts = name.split('/');
  if (kind === 'topic' || kind === 'schedule' || kind === 'stream') return parts[1] ?? null;
  if (kind === 'event' || kind === 'async' || kind === 'workflow') return parts[0] ?? null;
  return null;
}
