// How much is in queues: what the bus counts, as the API shows it. Invariant: a queue that the bus does not know (yet) is empty.
import { z } from '@hono/zod-openapi';
import type { Bus, QueueStats } from '../events/bus.ts';
import type { Backlog, QueueTotals } from '../protocol/events-api.ts';
import { time } from './schemas.ts';

const KEYS_AT_ONCE = 1_000;

export const backlogShape = {
  pending: z.int(),
  delayed: z.int(),
  held: z.int(),
  bytes: z.int(),
  oldestAt: time.nullable(),
};

export const totals = z.object({ sent: z.int(), done: z.int(), retried: z.int(), dead: z.int() }) satisfies z.ZodType<QueueTotals>;

/** By key; without those that the bus does not know. */
export async function statsOf(bus: Bus, keys: readonly string[]): Promise<Map<string, QueueStats>> {
  const stats = new Map<string, QueueStats>();
  for (let at = 0; at < keys.length; at += KEYS_AT_ONCE)
    for (const one of await bus.stats(keys.slice(at, at + KEYS_AT_ONCE))) stats.set(one.key, one);
  return stats;
}

export function backlogOf(stats: QueueStats | undefined): Backlog {
  if (stats === undefined) return { pending: 0, delayed: 0, held: 0, bytes: 0, oldestAt: null };
  const { pending, delayed, held, bytes, oldestAt } = stats;
  return { pending, delayed, held, bytes, oldestAt: isoOf(oldestAt) };
}

/** Messages in it, whatever their state. */
export function depthOf(stats: QueueStats | undefined): number {
  return stats === undefined ? 0 : stats.pending + stats.delayed + stats.held;
}

export function isoOf(unixMs: number): string;
export function isoOf(unixMs: number | null): string | null;
export function isoOf(unixMs: number | null): string | null {
  return unixMs === null ? null : new Date(unixMs).toISOString();
}
