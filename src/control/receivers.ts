// Those who pull messages from queues over the API, and wait for them. Each is woken by the bus when its queue may have something, or when
// the next message is due; nobody polls. Invariants: as many wait as may; one that leaves takes nothing with it: what was received for it
// meanwhile is given back as if it had not been looked at; close() answers all at once.
import type { Bus, QueueSpec, ReceivedMessage } from '../events/bus.ts';
import { VirgaError } from '../protocol/errors.ts';

/** Between two looks when the bus says that there is more, but gave nothing: all of it is with others. */
const APART_MS = 50;
const BYTES_MAX = 8 * 1_024 ** 2;

export interface Receiving {
  max: number;
  leaseMs: number;
  waitMs: number;
  /** Aborts when the client leaves. */
  signal: AbortSignal;
}

export class Receivers {
  readonly #bus: Bus;
  readonly #max: number;
  readonly #closed = new AbortController();
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;

  /**
   * `bus`: of a holder of its own, which is never recovered: a restart of this process is none of those who received, so what they hold
   * stays theirs. `notices`: the bus that is listened to; one connection does for the whole process.
   */
  constructor({ bus, notices, max }: { bus: Bus; notices: Bus; max: number }) {
    this.#bus = bus;
    this.#max = max;
    notices.onReady((key) => {
      for (const wake of this.#waiting.get(key) ?? []) wake();
    });
  }

  /** How many wait now. */
  get size(): number {
    return this.#count;
  }

  /** The bus that settles what was received here. */
  get bus(): Bus {
    return this.#bus;
  }

  async receive(queue: QueueSpec, { max, leaseMs, waitMs, signal }: Receiving): Promise<ReceivedMessage[]> {
    const until = performance.now() + waitMs;
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    for (;;) {
      // Listens before it looks, so that what comes in between is not missed.
      using ready = this.#listen(queue.key);
      const { messages, nextAt } = await this.#bus.receive(queue, { max, bytesMax: BYTES_MAX, leaseMs });
      if (messages.length > 0 && signal.aborted) {
        await this.#bus.settle(
          queue,
          messages.map(({ receipt }) => ({ receipt, as: 'retry', delayMs: 0, unseen: true })),
        );
        return [];
      }
      const leftMs = until - performance.now();
      if (messages.length > 0 || leftMs <= 0 || stop.aborted) return messages;
      if (this.#count >= this.#max)
        throw new VirgaError(
          'unavailable',
          `${this.#count} receivers wait already, which is the limit of this node (VIRGA_LIMIT_RECEIVERS); ask again, or without waitMs`,
        );
      const dueMs = nextAt === undefined ? leftMs : Math.max(APART_MS, nextAt - Date.now());
      this.#count += 1;
      try {
        await ready.or(Math.min(leftMs, dueMs), stop);
      } finally {
        this.#count -= 1;
      }
    }
  }

  close(): void {
    this.#closed.abort();
  }

  #listen(key: string): { or(ms: number, stop: AbortSignal): Promise<void> } & Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    const others = this.#waiting.get(key) ?? new Set();
    others.add(resolve);
    this.#waiting.set(key, others);
    return {
      or: async (ms, stop) => {
        const timer = setTimeout(resolve, ms);
        stop.addEventListener('abort', () => resolve(), { once: true });
        if (stop.aborted) resolve();
        await promise;
        clearTimeout(timer);
      },
      [Symbol.dispose]: () => {
        others.delete(resolve);
        if (others.size === 0) this.#waiting.delete(key);
      },
    };
  }
}
