// Asks the bus what is due: once at the start, when there are new consumers, and every half minute against lost notices; while the bus is away
// every second. Owned by deliveries.ts.
import type { Bus } from '../bus.ts';
import type { Clock } from './clock.ts';
import type { Log } from './outcomes.ts';

const EVERY_MS = 30_000;
const RETRY_MS = 1_000;

export interface DueWatchParts {
  bus: Pick<Bus, 'due'>;
  clock: Clock;
  log: Log;
  found: (key: string, at: number) => void;
}

export class DueWatch {
  readonly #parts: DueWatchParts;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(parts: DueWatchParts) {
    this.#parts = parts;
  }

  ask(): void {
    if (this.#closed) return;
    const { bus, log, found } = this.#parts;
    this.#askIn(EVERY_MS);
    bus.due().then(
      (due) => {
        for (const { key, at } of due) found(key, at);
      },
      (error: unknown) => {
        log('debug', 'the bus could not say what is due', { reason: String(error) });
        this.#askIn(RETRY_MS);
      },
    );
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #askIn(ms: number): void {
    this.#cancel?.();
    if (!this.#closed) this.#cancel = this.#parts.clock.after(ms, () => this.ask());
  }
}
