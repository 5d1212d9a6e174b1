// Messages in a second of each queue, from two readings of what the bus has counted since the queue exists. Readings are taken when
// somebody asks, so that a node that nobody looks at does nothing; the first answer has no rates. Invariant: bounded in queues and in
// readings of each; a rate is of at least a second and at most five minutes.
import type { QueueStats } from '../events/bus.ts';
import type { QueueRates as Rates } from '../protocol/events-api.ts';

const QUEUES_MAX = 10_000;
const OVER_MS_MIN = 1_000;
const OVER_MS_MAX = 300_000;
const OVER_MS_WANTED = 60_000;
const APART_MS = 30_000;

interface Reading {
  at: number;
  stats: QueueStats;
}

export class QueueRates {
  /** Oldest first. */
  readonly #readings = new Map<string, Reading[]>();

  of(stats: QueueStats | undefined, nowMs: number): Rates | null {
    if (stats === undefined) return null;
    const readings = (this.#readings.get(stats.key) ?? []).filter(
      // Counters that went back are those of an earlier queue of this name.
      (one) => nowMs - one.at <= OVER_MS_MAX && one.at <= nowMs && one.stats.sent <= stats.sent,
    );
    const comparable = readings.filter((one) => nowMs - one.at >= OVER_MS_MIN);
    const from = comparable.find((one) => nowMs - one.at <= OVER_MS_WANTED) ?? comparable.at(-1);
    const last = readings.at(-1);
    if (last === undefined || nowMs - last.at >= APART_MS) readings.push({ at: nowMs, stats });
    if (!this.#readings.has(stats.key) && this.#readings.size >= QUEUES_MAX) this.#readings.delete(this.#readings.keys().next().value!);
    this.#readings.set(stats.key, readings);
    if (from === undefined) return null;
    const overMs = nowMs - from.at;
    const rate = (key: 'sent' | 'done' | 'retried' | 'dead'): number =>
      Math.round(Math.max(0, stats[key] - from.stats[key]) / (overMs / 100_000)) / 100;
    return { overMs, sent: rate('sent'), done: rate('done'), retried: rate('retried'), dead: rate('dead') };
  }
}
