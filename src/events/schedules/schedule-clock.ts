// Runs the rounds of the scheduler at their times: to the millisecond where it can, and in short sleeps, so that a clock that was moved
// and a machine that was asleep are noticed. It hears of new and changed schedules by LISTEN. Invariant: one round at a time; a failed one
// is tried again with a growing wait, and close() waits for the one under way. Made by server/control.ts.
import pg from 'pg';
import { SCHEDULES_CHANNEL } from './schedule-table.ts';
import type { Scheduler, SchedulerOptions } from './scheduler.ts';

/** The clock is looked at this often. */
const SLICE_MS = 1_000;
/** The table is looked at this often whatever was heard. */
const LOOK_MS = 30_000;
/** Another node is at what is due: it is looked again whether it has done it. */
const BUSY_MS = 25;
const BACKOFF_MS = { first: 100, last: 5_000 };
const RECONNECT_MS = 200;

export class ScheduleClock {
  readonly #scheduler: Pick<Scheduler, 'round'>;
  readonly #options: Pick<SchedulerOptions, 'now' | 'log'> & { connection: pg.ClientConfig };
  readonly #closing = new AbortController();
  #client: pg.Client | undefined;
  #wake: (() => void) | undefined;
  /** Something was heard during a round. */
  #heard = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(scheduler: Pick<Scheduler, 'round'>, options: Pick<SchedulerOptions, 'now' | 'log'> & { connection: pg.ClientConfig }) {
    this.#scheduler = scheduler;
    this.#options = options;
  }

  start(): void {
    this.#running = Promise.all([this.#run(), this.#listen()]);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.wake();
    await this.#client?.end().catch(() => {});
    await this.#running;
  }

  /** Something may be due earlier than it was. */
  wake(): void {
    this.#heard = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { log, now } = this.#options;
    let backoffMs = BACKOFF_MS.first;
    while (!this.#closing.signal.aborted) {
      this.#heard = false;
      try {
        const { moved, nextAt } = await this.#scheduler.round();
        if (backoffMs !== BACKOFF_MS.first) log('info', 'schedules are fired again');
        backoffMs = BACKOFF_MS.first;
        if (nextAt !== undefined && nextAt <= now()) {
          if (moved === 0) await this.#sleep(BUSY_MS);
          continue;
        }
        await this.#until(nextAt);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (backoffMs === BACKOFF_MS.first) log('warn', 'schedules cannot be fired now and wait', { reason: String(error) });
        await this.#sleep(backoffMs);
        backoffMs = Math.min(BACKOFF_MS.last, backoffMs * 2);
      }
    }
  }

  async #until(nextAt: number | undefined): Promise<void> {
    const { now } = this.#options;
    const lookAt = performance.now() + LOOK_MS;
    while (!this.#heard && !this.#closing.signal.aborted) {
      const leftMs = (nextAt ?? Infinity) - now();
      if (leftMs <= 0 || performance.now() >= lookAt) return;
      await this.#sleep(Math.min(leftMs, SLICE_MS));
    }
  }

  /** Ends early when something is heard. */
  #sleep(ms: number): Promise<void> {
    if (this.#heard) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), Math.ceil(ms));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  /** Holds the listening connection, and makes it anew whenever it breaks. */
  async #listen(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const client = new pg.Client(this.#options.connection);
      const lost = Promise.withResolvers<void>();
      client.on('error', () => lost.resolve());
      client.on('end', () => lost.resolve());
      client.on('notification', () => this.wake());
      try {
        this.#client = client;
        await client.connect();
        await client.query(`listen ${SCHEDULES_CHANNEL}`);
        this.wake();
        await lost.promise;
      } catch {
        // The rounds tell that the database is away.
      }
      await client.end().catch(() => {});
      if (!this.#closing.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }
}
