// Settlements on their way to the bus. Invariants: of each queue one batch is under way at a time, and what comes meanwhile goes with the next
// one, so that a busy queue settles in few large steps; while the bus is away they are kept, in order, and tried again; how many there can
// be is bounded by what is held, since nothing is received meanwhile. Owned by deliveries.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { Bus, QueueSpec, Settlement } from '../bus.ts';
import type { Clock } from './clock.ts';

export type Log = (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;

interface Outbox {
  queue: QueueSpec;
  settlements: Settlement[];
  sending: boolean;
  failures: number;
  cancelTimer: (() => void) | undefined;
}

const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 5_000;
/** Settlements of one step. */
const STEP_MAX = 10_000;
/** What the bus does not take for another reason than that it is away is given up after as many tries: its messages come again. */
const TRIES_MAX = 5;

export class Outcomes {
  readonly #bus: Pick<Bus, 'settle'>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #outboxes = new Map<string, Outbox>();
  readonly #written: () => void;
  #size = 0;
  #closed = false;
  #emptied: (() => void) | undefined;

  /** `written`: a queue's outcomes do not wait any more. */
  constructor(parts: { bus: Pick<Bus, 'settle'>; clock: Clock; log: Log; written: () => void }) {
    this.#bus = parts.bus;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#written = parts.written;
  }

  /** Whether the bus did not take outcomes of this queue yet: what is received of it now might be what they are of. */
  wait(key: string): boolean {
    return (this.#outboxes.get(key)?.failures ?? 0) > 0;
  }

  get size(): number {
    return this.#size;
  }

  add(queue: QueueSpec, settlements: Settlement[]): void {
    if (settlements.length === 0) return;
    let outbox = this.#outboxes.get(queue.key);
    if (outbox === undefined) {
      outbox = { queue, settlements: [], sending: false, failures: 0, cancelTimer: undefined };
      this.#outboxes.set(queue.key, outbox);
    }
    outbox.queue = queue;
    for (const settlement of settlements) outbox.settlements.push(settlement);
    this.#size += settlements.length;
    if (!outbox.sending && outbox.cancelTimer === undefined) void this.#send(outbox);
  }

  /** Resolves when there are none left, or after `timeoutMs`; what is left then comes again from the bus. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#size > 0) {
      for (const outbox of this.#outboxes.values()) if (outbox.cancelTimer !== undefined) this.#again(outbox);
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = this.#clock.after(timeoutMs, resolve);
      this.#emptied = resolve;
      await promise;
      cancel();
    }
    this.#closed = true;
    for (const outbox of this.#outboxes.values()) outbox.cancelTimer?.();
    this.#outboxes.clear();
  }

  async #send(outbox: Outbox): Promise<void> {
    outbox.sending = true;
    while (outbox.settlements.length > 0) {
      const step = outbox.settlements.splice(0, STEP_MAX);
      try {
        await this.#bus.settle(outbox.queue, step);
        this.#size -= step.length;
        this.#tookThem(outbox);
      } catch (error) {
        outbox.failures++;
        if (!isAway(error) && outbox.failures >= TRIES_MAX) {
          this.#size -= step.length;
          this.#tookThem(outbox);
          this.#log('error', `outcomes of the queue '${outbox.queue.key}' could not be written and are given up; the messages come again`, {
            settlements: step.length,
            reason: String(error),
          });
          continue;
        }
        outbox.settlements.unshift(...step);
        if (this.#closed) break;
        const delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** (outbox.failures - 1));
        outbox.cancelTimer = this.#clock.after(delayMs, () => this.#again(outbox));
        break;
      }
    }
    outbox.sending = false;
    if (outbox.settlements.length === 0 && this.#outboxes.get(outbox.queue.key) === outbox) this.#outboxes.delete(outbox.queue.key);
    if (this.#size === 0) this.#emptied?.();
  }

  #tookThem(outbox: Outbox): void {
    if (outbox.failures === 0) return;
    outbox.failures = 0;
    this.#written();
  }

  #again(outbox: Outbox): void {
    outbox.cancelTimer?.();
    outbox.cancelTimer = undefined;
    if (!outbox.sending) void this.#send(outbox);
  }
}

/** It is the bus as a whole, and worth waiting for. */
export function isAway(error: unknown): boolean {
  return error instanceof VirgaError && (error.code === 'unavailable' || error.code === 'disk_full');
}
