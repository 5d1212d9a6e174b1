// Places in a stream as people say them: oldest, newest, a time, a position. Callers: read-records.ts, seek-stream.ts.
import type { Bus, PartitionStats } from '../events/bus.ts';
import { invalidRequest } from './problems.ts';
import { sinceMs } from './since.ts';

export interface PlaceAsked {
  /** Of the value in the request, e.g. `?from`. */
  path: string;
  to: string;
  nowMs: number;
  stats: PartitionStats;
  /** It is of one partition alone: positions of others would mean something else. */
  single: boolean;
}

/** The position after which it is. */
export async function placeOf(
  bus: Pick<Bus, 'positionAt'>,
  key: string,
  { path, to, nowMs, stats: { partition, oldest, newest }, single }: PlaceAsked,
): Promise<number> {
  if (to === 'oldest') return oldest - 1;
  if (to === 'newest') return newest;
  if (/^\d{1,15}$/.test(to)) {
    if (!single) throw invalidRequest([{ path, message: 'is a position, which needs `partition`', value: to }]);
    // The record at the position is the first.
    const position = Number(to) - 1;
    if (position >= oldest - 1 && position <= newest) return position;
    const kept = newest < oldest ? 'it has no record' : `it has ${oldest} to ${newest}`;
    throw invalidRequest([{ path, message: `is no position of partition ${partition}: ${kept}`, value: to }]);
  }
  const time = timeOf(to, nowMs);
  if (time === undefined) {
    const message = 'must be oldest, newest, a time (2026-01-31T12:00:00Z), how long ago (2h), or a position';
    throw invalidRequest([{ path, message, value: to.slice(0, 100) }]);
  }
  return await bus.positionAt(key, partition, time);
}

function timeOf(text: string, nowMs: number): number | undefined {
  try {
    return sinceMs(text, nowMs);
  } catch {
    return undefined;
  }
}
