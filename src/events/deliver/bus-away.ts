// Whether the bus was away when it was asked last, and when to ask again: the pause grows until it answers. Said once in the log.
// Owned by deliveries.ts.
import { isAway } from './outcomes.ts';
import type { Log } from './outcomes.ts';

const FIRST_MS = 100;
const LAST_MS = 5_000;

export class BusAway {
  readonly #log: Log;
  /** Unix ms. */
  until = 0;
  #since = 0;
  #pauseMs = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** A clock that was set back ends the pause. */
  at(now: number): boolean {
    return now < this.until && now >= this.#since;
  }

  failed(now: number, error: unknown): void {
    if (!isAway(error)) {
      // Whatever it is, it is this one queue's, whose pause grows.
      this.#log('error', 'a queue could not be received from and is tried again later', { reason: String(error) });
      return;
    }
    // Others failed at the same time.
    if (this.at(now)) return;
    if (this.#pauseMs === 0) this.#log('warn', 'the bus cannot be reached; deliveries wait for it', { reason: String(error) });
    this.#pauseMs = Math.min(LAST_MS, Math.max(FIRST_MS, this.#pauseMs * 2));
    this.until = now + this.#pauseMs;
    this.#since = now;
  }

  back(): void {
    if (this.#pauseMs > 0) this.#log('info', 'the bus answers again');
    this.#pauseMs = 0;
    this.until = 0;
  }
}
