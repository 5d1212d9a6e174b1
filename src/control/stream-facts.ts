// What is known of the streams of a project, for the operations on them. Invariant: a stream that left virga.yaml is shown while the bus
// has it, and so is what a function that reads it no more had read. Callers: list-streams.ts, read-records.ts, seek-stream.ts.
import type { Bus, PartitionStats, StreamSpec } from '../events/bus.ts';
import { keyParts, streamKey } from '../events/queue-keys.ts';
import type { Topology } from '../events/topology.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { StreamConsumer, StreamFacts } from '../protocol/streams-api.ts';
import { isoOf } from './backlog.ts';
import { hint } from './project-sources.ts';

export interface NamedStream {
  name: string;
  key: string;
  /** undefined: it is removed from virga.yaml. */
  spec: StreamSpec | undefined;
  /** Functions with a trigger of it. */
  functions: string[];
}

const RATE_MS = 60_000;

/** By name, those that were removed among them. */
export async function namedStreams(bus: Bus, topology: Topology): Promise<NamedStream[]> {
  const { project } = topology;
  const keys = await bus.keys(streamKey(project, ''));
  // Queues of what triggers of streams gave up have a name of two parts.
  const there = keys.map((key) => keyParts(key).name).filter((name) => !name.includes('/'));
  return [...new Set([...topology.streams.keys(), ...there])].sort().map((name) => {
    const declared = topology.streams.get(name);
    const functions = declared?.triggers.map((trigger) => trigger.function) ?? [];
    return { name, key: streamKey(project, name), spec: declared?.spec, functions };
  });
}

/** Fails with `stream_not_found`. */
export async function requireStream(bus: Bus, topology: Topology, name: string): Promise<NamedStream> {
  const streams = await namedStreams(bus, topology);
  const found = streams.find((stream) => stream.name === name);
  if (found !== undefined) return found;
  const known = streams.map((stream) => stream.name);
  throw new VirgaError('stream_not_found', `project '${topology.project}' has no stream '${name}'${hint(name, known, 'streams')}`);
}

/** By number; those that have had no record are among them. */
export async function partitionsOf(bus: Bus, { key, spec }: NamedStream): Promise<PartitionStats[]> {
  const stats = new Map((await bus.partitions(key)).map((one) => [one.partition, one]));
  const count = Math.max(spec?.partitions ?? 0, ...[...stats.keys()].map((partition) => partition + 1));
  const none = { oldest: 1, newest: 0, bytes: 0, newestAt: null };
  return Array.from({ length: count }, (_, partition) => stats.get(partition) ?? { partition, ...none });
}

export async function factsOf(bus: Bus, stream: NamedStream, nowMs: number): Promise<StreamFacts> {
  const { key, spec } = stream;
  const partitions = await partitionsOf(bus, stream);
  const full = partitions.filter(({ oldest, newest }) => newest >= oldest);
  const before = await Promise.all(full.map(({ partition }) => bus.positionAt(key, partition, nowMs - RATE_MS)));
  const [oldest, newest] = await Promise.all([
    Promise.all(full.map((one) => timeAfter(bus, { key, partition: one.partition, position: one.oldest - 1 }))),
    Promise.all(full.map((one) => timeAfter(bus, { key, partition: one.partition, position: one.newest - 1 }))),
  ]);
  const recent = full.reduce((sum, one, index) => sum + one.newest - Math.max(before[index]!, one.oldest - 1), 0);
  return {
    name: stream.name,
    state: spec === undefined ? 'removed' : 'active',
    records: full.reduce((sum, one) => sum + one.newest - one.oldest + 1, 0),
    bytes: partitions.reduce((sum, one) => sum + one.bytes, 0),
    perSecond: Math.round((recent / RATE_MS) * 100_000) / 100,
    oldestAt: isoOf(full.length === 0 ? null : Math.min(...oldest.map((at) => at ?? nowMs))),
    newestAt: isoOf(full.length === 0 ? null : Math.max(...newest.map((at) => at ?? 0))),
    limits: spec === undefined ? null : { retentionMs: spec.retentionMs, bytes: spec.bytesMax },
    partitions: partitions.map((one) => ({ partition: one.partition, oldest: one.oldest, newest: one.newest, bytes: one.bytes })),
    consumers: await consumersOf(bus, stream, { partitions, nowMs }),
  };
}

async function consumersOf(
  bus: Bus,
  { key, functions }: NamedStream,
  { partitions, nowMs }: { partitions: PartitionStats[]; nowMs: number },
): Promise<StreamConsumer[]> {
  const rows = await bus.consumers(key);
  const names = [...new Set([...functions, ...rows.map(({ consumer }) => consumer)])].sort();
  return await Promise.all(
    names.map(async (fn): Promise<StreamConsumer> => {
      const own = rows.filter(({ consumer }) => consumer === fn).toSorted((a, b) => a.partition - b.partition);
      const places = own.map(({ partition, position, heldUntil }) => {
        const stats = partitions[partition];
        // What is not kept any more will not be read.
        const lag = stats === undefined ? 0 : Math.max(0, stats.newest - Math.max(position, stats.oldest - 1));
        const missed = stats === undefined ? 0 : Math.max(0, stats.oldest - 1 - position);
        return { partition, position, lag, missed, heldUntil: heldUntil !== null && heldUntil > nowMs ? isoOf(heldUntil) : null };
      });
      const late = places.filter(({ lag }) => lag > 0);
      const times = await Promise.all(late.map(({ partition, position }) => timeAfter(bus, { key, partition, position })));
      return {
        function: fn,
        state: functions.includes(fn) ? 'active' : 'removed',
        lag: late.reduce((sum, { lag }) => sum + lag, 0),
        missed: places.reduce((sum, { missed }) => sum + missed, 0),
        lagMs: Math.max(0, ...times.map((at) => (at === undefined ? 0 : nowMs - at))),
        partitions: places,
      };
    }),
  );
}

/** Of the first record after a position. */
async function timeAfter(
  bus: Bus,
  { key, partition, position }: { key: string; partition: number; position: number },
): Promise<number | undefined> {
  const [record] = await bus.read(key, partition, { after: position, max: 1, bytesMax: 1 });
  return record?.at;
}
