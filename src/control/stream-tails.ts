// Those who look at a stream over the API and wait for more. Woken by the bus; nobody polls. Invariants: as many wait as may; close() wakes all.
// Made by server/control.ts.
import type { Bus } from '../events/bus.ts';
import { VirgaError } from '../protocol/errors.ts';

export class StreamTails {
  readonly #max: number;
  readonly #closed = new AbortController();
  readonly #waiting = new Map<string, Set<() => void>>();
  #count = 0;

  constructor({ bus, max }: { bus: Pick<Bus, 'onReady'>; max: number }) {
    this.#max = max;
    bus.onReady((key) => {
      for (const wake of this.#waiting.get(key) ?? []) wake();
    });
  }

  /** Calls `look` until it answers something, again whenever the stream may have more, for `waitMs`. */
  async until<T>(
    key: string,
    { waitMs, signal }: { waitMs: number; signal: AbortSignal },
    look: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const until = performance.now() + waitMs;
    const stop = AbortSignal.any([signal, this.#closed.signal]);
    for (;;) {
      // Listens before it looks, so that what comes in between is not missed.
      const more = Promise.withResolvers<void>();
      const others = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, others.add(more.resolve));
      const timer = setTimeout(more.resolve, Math.max(0, until - performance.now()));
      stop.addEventListener('abort', () => more.resolve(), { once: true });
      try {
        const found = await look();
        if (found !== undefined || performance.now() >= until || stop.aborted) return found;
        if (this.#count >= this.#max) {
          const message = `${this.#count} readers of streams wait already, which is the limit of this node (VIRGA_LIMIT_RECEIVERS); ask again, or without waitMs`;
          throw new VirgaError('unavailable', message);
        }
        this.#count += 1;
        await more.promise.finally(() => (this.#count -= 1));
      } finally {
        clearTimeout(timer);
        others.delete(more.resolve);
        if (others.size === 0) this.#waiting.delete(key);
      }
    }
  }

  close(): void {
    this.#closed.abort();
  }
}
