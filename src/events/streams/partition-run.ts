// One partition of a stream that is read for one function: takes what comes next, until nothing is left.
//
//   read ─▶ turn ─▶ call for each window ─▶ commit position and state ─▶ read …
//                        │ failed: wait, then the same again, with fewer records; or put the record aside
//
// Invariants: one call at a time; what is committed was handled, and position and state go together, so a crash repeats calls and leaves none
// out; a window is ended by the clock only when no record of it can come any more. A run that cannot go on (the holding was lost, the
// bus is away) ends, and whoever made it looks again. Made by stream-reader.ts.
import type { PartitionHold } from '../bus.ts';
import { Partition } from './partition.ts';
import type { Places } from './places.ts';
import type { ReaderRules } from './reader-rules.ts';
import { nextTurn } from './turns.ts';
import { workTurn } from './turn-work.ts';
import type { WorkNeeds } from './turn-work.ts';
import { nextDue } from './windows.ts';

export interface RunNeeds extends WorkNeeds {
  places: Places;
  leaseMs: number;
  log: (level: 'warn', message: string, fields: Record<string, unknown>) => void;
}

export interface RunOf {
  project: string;
  stream: string;
  function: string;
  key: string;
  /** As they are now: a deployment changes them between two turns. */
  rules: () => ReaderRules;
}

/** Of one batch, but always one record. */
const READ_BYTES_MAX = 2 * 1_024 ** 2;
/** Of a trigger with a filter: most of what is read may not fit. */
const FILTERED_READ = 256;
const RENEWALS_PER_LEASE = 3;
/** Where retention is faster than the function it is so at each read. */
const TOLD_EVERY_MS = 10_000;

export class PartitionRun {
  readonly #needs: RunNeeds;
  readonly #of: RunOf;
  readonly #partition: Partition;
  /** No further turn begins. */
  readonly #stopping = new AbortController();
  /** The call that is under way is given up. */
  readonly #aborting = new AbortController();
  /** The newest position that is known of. */
  #newest: number;
  /** How long what is next waits for a full batch, Unix ms: counted once, also where it is tried several times. */
  #full = { after: -1, until: 0 };
  /** Records that were gone before they were read: where that was seen last, and how many nobody was told of yet. */
  #missed = { after: -1, untold: 0 };
  #cancelTelling: (() => void) | undefined;
  #onMore: (() => void) | undefined;
  #cancelRenewal: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(needs: RunNeeds, of: RunOf, hold: PartitionHold) {
    this.#needs = needs;
    this.#of = of;
    this.#partition = new Partition(needs, { key: of.key, consumer: of.function, leaseMs: needs.leaseMs }, hold);
    this.#newest = hold.position;
  }

  get position(): number {
    return this.#partition.position;
  }

  get receipt(): string {
    return this.#partition.receipt;
  }

  /** It is not ours any more, or nothing is known of it. */
  get lost(): boolean {
    return this.#partition.lost;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** When a window is to be ended, Unix ms; undefined: none is open. */
  get windowDueAt(): number | undefined {
    const next = nextDue(this.#partition.open);
    return next === undefined ? undefined : next.end + (this.#of.rules().windows?.lateMs ?? 0);
  }

  /** There are records up to this position. Runs where there is something to do; `ended` is told when that is done. */
  wake(newest: number, ended: () => void): void {
    this.#newest = Math.max(this.#newest, newest);
    this.#onMore?.();
    if (this.running || this.lost || !this.#hasWork()) return;
    this.#running = this.#loop()
      .catch((error: unknown) => {
        this.#partition.lost = true;
        this.#needs.log('warn', 'a stream cannot be read at the moment', { stream: this.#of.key, error: String(error) });
      })
      .finally(() => {
        this.#running = undefined;
        // It may have been told of more between its last look and its end.
        if (this.#hasWork() && !this.lost) this.wake(0, ended);
        else ended();
      });
  }

  /** Finishes the turn that is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#cancelTelling?.();
    await this.#partition.settled();
  }

  /** Gives up the call that is under way: what it does is not committed. */
  abort(): void {
    this.#stopping.abort();
    this.#aborting.abort();
  }

  #renewLater(): void {
    const { clock, leaseMs } = this.#needs;
    this.#cancelRenewal = clock.after(leaseMs / RENEWALS_PER_LEASE, () => {
      this.#renewLater();
      void this.#renew();
    });
  }

  async #renew(): Promise<void> {
    await this.#partition.renew().catch(() => {});
    // Whoever has it now calls for the same records.
    if (this.lost) this.abort();
  }

  #hasWork(): boolean {
    if (this.#stopping.signal.aborted) return false;
    return this.#newest > this.position || (this.windowDueAt ?? Infinity) <= this.#needs.clock.now();
  }

  async #loop(): Promise<void> {
    this.#renewLater();
    try {
      while (!this.lost && this.#hasWork()) {
        await this.#untilFull();
        await this.#pause(await this.#turn());
      }
    } finally {
      this.#cancelRenewal?.();
    }
  }

  async #turn(): Promise<number> {
    const { project, function: fn } = this.#of;
    const { signal } = this.#stopping;
    const giveBack = await this.#needs.places.take({ project, function: fn, bytes: READ_BYTES_MAX }, signal);
    if (giveBack === undefined) return 0;
    try {
      return await this.#work();
    } finally {
      giveBack();
    }
  }

  async #work(): Promise<number> {
    const { bus, clock } = this.#needs;
    const { key } = this.#of;
    const rules = this.#of.rules();
    const partition = this.#partition;
    const of = { ...this.#of, partition, rules, signal: this.#aborting.signal };
    const due = nextDue(partition.open);
    if (this.#newest <= this.position) {
      if (due === undefined || (this.windowDueAt ?? Infinity) > clock.now()) return 0;
      // From here on no record of it can come; one that came meanwhile is read first.
      this.#newest = await bus.advance(key, partition.number, clock.now());
      return this.#newest > this.position ? 0 : await workTurn(this.#needs, of, { as: 'final', window: due });
    }
    const size = partition.attempts.size(rules.batch);
    const max = rules.filtered ? Math.max(size, FILTERED_READ) : size;
    const records = await bus.read(key, partition.number, { after: this.position, max, bytesMax: READ_BYTES_MAX });
    this.#countMissed((records[0]?.position ?? this.#newest + 1) - 1);
    if (records.length === 0) {
      // They were there, and their time is over.
      await partition.commit(this.#newest, partition.open);
      return 0;
    }
    return await workTurn(this.#needs, of, nextTurn(records, partition.open, { ...rules, batch: size }));
  }

  /** `before`: the last position that is not kept any more. */
  #countMissed(before: number): void {
    if (this.#missed.after !== this.position) this.#missed.untold += before - this.position;
    this.#missed.after = this.position;
    if (this.#cancelTelling === undefined) this.#tellOfMissed();
  }

  #tellOfMissed(): void {
    this.#cancelTelling = undefined;
    if (this.#missed.untold === 0) return;
    const { project, stream, function: fn } = this.#of;
    const fields = { project, stream, function: fn, partition: this.#partition.number, records: this.#missed.untold };
    this.#needs.log('warn', 'records of a stream were gone before their function had read them', fields);
    this.#missed.untold = 0;
    this.#cancelTelling = this.#needs.clock.after(TOLD_EVERY_MS, () => this.#tellOfMissed());
  }

  /** A batch that is not full waits for more. */
  async #untilFull(): Promise<void> {
    const { waitMs, batch } = this.#of.rules();
    const { clock } = this.#needs;
    if (this.#full.after !== this.position) this.#full = { after: this.position, until: clock.now() + waitMs };
    for (;;) {
      const waiting = this.#newest - this.position;
      if (waiting === 0 || waiting >= this.#partition.attempts.size(batch)) return;
      const leftMs = Math.min(waitMs, this.#full.until - clock.now());
      if (leftMs <= 0 || this.#stopping.signal.aborted) return;
      const more = new Promise<void>((resolve) => (this.#onMore = resolve));
      await this.#pause(leftMs, more);
    }
  }

  /** Ends early when it is stopped, and with `sooner`. */
  async #pause(ms: number, sooner?: Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    if (ms <= 0 || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#needs.clock.after(ms, resolve);
    const onAbort = (): void => resolve();
    signal.addEventListener('abort', onAbort);
    await (sooner === undefined ? promise : Promise.race([promise, sooner]));
    signal.removeEventListener('abort', onAbort);
    cancel();
  }
}
