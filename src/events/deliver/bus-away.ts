// Whether the bus was away when it was asked last, and when to ask again: the pause grows until it answers. Said once in the log.
// Owned by deliveries.ts.
import type { Log } from './outcomes.ts';

const FIRST_MS = 100;
const LAST_MS = 5_000;

export class BusAway {
  readonly #log: Log;
  /** Unix ms. */
  until = 0;
  #pauseMs = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  at(now: number): boolean {
    return now < this.until;
  }

  failed(now: number, error: unknown): void {
    // Others failed at the same time.
    if (this.at(now)) return;
    if (this.#pauseMs === 0) this.#log('warn', 'the bus cannot be reached; deliveries wait for it', { reason: String(error) });
    this.#pauseMs = Math.min(LAST_MS, Math.max(FIRST_MS, this.#pauseMs * 2));
    this.until = now + this.#pauseMs;
  }

  back(): void {
    if (this.#pauseMs > 0) this.#log('info', 'the bus answers again');
    this.#pauseMs = 0;
    this.until = 0;
  }
}
