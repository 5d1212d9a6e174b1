// One trigger of a stream: holds partitions for its function and has them read. It looks at where the stream and its consumer are
// whenever it hears that there may be more, when a window is due, and when a holding of another edge may have ended; else it does nothing.
// Invariants: a partition has one run here at most; a new consumer has its place in the stream before update() of readers.ts resolves.
// Made by readers.ts.
import type { StreamSpec } from '../bus.ts';
import type { StreamTrigger } from '../topology.ts';
import { PartitionRun } from './partition-run.ts';
import type { RunNeeds } from './partition-run.ts';
import { readerRulesOf } from './reader-rules.ts';
import type { ReaderRules } from './reader-rules.ts';

export interface ReaderNeeds extends Omit<RunNeeds, 'leaseMs'> {
  /** Partitions that one reader holds at most; default: all. */
  partitionsMax?: number;
}

interface Place {
  position: number;
  heldUntil: number | null;
}

/** How long a partition is held without a sign of life. */
export const LEASE_MS = 30_000;
/** Between two looks while something is read. */
const BUSY_APART_MS = 5;
/** After the bus failed. */
const [RETRY_MS, RETRY_MS_MAX] = [200, 5_000];
/** Windows whose edge is gone for good are found by another after this. */
const ABANDONED_WINDOWS_MS = 300_000;

export class StreamReader {
  readonly #needs: ReaderNeeds;
  readonly #project: string;
  readonly #after: Promise<void> | undefined;
  #spec: StreamSpec;
  #trigger: StreamTrigger;
  #rules: ReaderRules;
  readonly #runs = new Map<number, PartitionRun>();
  #looking: Promise<void> | undefined;
  #again = false;
  /** What is held has not been seen yet: there may be windows. */
  #first = true;
  /** When a holding of another may end, Unix ms. */
  #standbyUntil = Infinity;
  #retryMs = RETRY_MS;
  /** When a look that failed is to be repeated, Unix ms. */
  #retryAt = Infinity;
  #cancelTimer: (() => void) | undefined;
  #endPause: (() => void) | undefined;
  #closed = false;

  /** `after`: what has to end before it begins. */
  constructor(needs: ReaderNeeds, of: { project: string; spec: StreamSpec; trigger: StreamTrigger; after?: Promise<void> | undefined }) {
    this.#needs = needs;
    this.#after = of.after;
    this.#project = of.project;
    this.#spec = of.spec;
    this.#trigger = of.trigger;
    this.#rules = readerRulesOf(of.trigger);
  }

  get key(): string {
    return this.#spec.key;
  }

  /** Whether that is something new. */
  update({ spec, trigger }: { spec: StreamSpec; trigger: StreamTrigger }): boolean {
    if (spec === this.#spec && trigger === this.#trigger) return false;
    this.#spec = spec;
    this.#trigger = trigger;
    this.#rules = readerRulesOf(trigger);
    return true;
  }

  /** Resolves when it has looked, after this call. Never rejects. */
  async look(): Promise<void> {
    this.#again = true;
    this.#looking ??= this.#lookUntilDone().finally(() => (this.#looking = undefined));
    await this.#looking;
  }

  /** Turns that are under way finish, within `drainMs`; then others may have the partitions. */
  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#endPause?.();
    await this.#looking;
    const runs = [...this.#runs.values()];
    const cancel = this.#needs.clock.after(drainMs, () => {
      for (const run of runs) run.abort();
    });
    await Promise.all(runs.map((run) => run.stop()));
    cancel();
    if (runs.length > 0) await this.#needs.bus.release(this.key, this.#trigger.function).catch(() => {});
  }

  async #lookUntilDone(): Promise<void> {
    await this.#after;
    for (let looks = 0; this.#again && !this.#closed; looks++) {
      // Those that run go on by themselves: where much is appended they need not be told of each.
      if (looks > 0 && [...this.#runs.values()].some(({ running }) => running)) await this.#pause(BUSY_APART_MS);
      this.#again = false;
      try {
        await this.#lookNow();
        this.#retryMs = RETRY_MS;
        this.#retryAt = Infinity;
      } catch (error) {
        this.#needs.log('warn', 'a stream cannot be read at the moment', { stream: this.key, error: String(error) });
        this.#retryAt = this.#needs.clock.now() + this.#retryMs;
        this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
      }
      this.#plan();
    }
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    const cancel = this.#needs.clock.after(ms, resolve);
    await promise;
    cancel();
  }

  async #lookNow(): Promise<void> {
    const { bus, clock } = this.#needs;
    const idle = [...this.#runs].filter(([, run]) => !run.running);
    const [partitions, places] = await Promise.all([bus.partitions(this.key), this.#places()]);
    const nowMs = clock.now();
    const newest = new Map(partitions.map((one) => [one.partition, one.newest]));
    for (const [number, run] of idle) {
      const place = places.get(number);
      const moved = place === undefined || place.position !== run.position || (place.heldUntil ?? 0) <= nowMs;
      if (!run.running && (run.lost || moved)) this.#runs.delete(number);
    }
    for (const [number, run] of this.#runs) if (run.lost && !run.running) this.#runs.delete(number);
    if (this.#mayHoldMore({ places, newest, nowMs })) await this.#holdMore();
    for (const [number, run] of this.#runs) run.wake(newest.get(number) ?? 0, () => this.#onEnded());
  }

  async #places(): Promise<Map<number, Place>> {
    const all = await this.#needs.bus.consumers(this.key);
    const own = all.filter(({ consumer }) => consumer === this.#trigger.function);
    return new Map(own.map(({ partition, position, heldUntil }) => [partition, { position, heldUntil }]));
  }

  /** Whether there is something to read that nobody holds, or that was never looked at. */
  #mayHoldMore({ places, newest, nowMs }: { places: Map<number, Place>; newest: Map<number, number>; nowMs: number }): boolean {
    const unseen = this.#first || this.#rules.windows !== undefined || places.size < this.#spec.partitions;
    this.#standbyUntil = Infinity;
    let free = places.size < this.#spec.partitions;
    for (const [number, { position, heldUntil }] of places) {
      if (this.#runs.has(number) || (!unseen && (newest.get(number) ?? 0) <= position)) continue;
      if ((heldUntil ?? 0) <= nowMs) free = true;
      else this.#standbyUntil = Math.min(this.#standbyUntil, heldUntil!);
    }
    return free;
  }

  async #holdMore(): Promise<void> {
    const { bus, partitionsMax = this.#spec.partitions } = this.#needs;
    const { stream, function: fn } = this.#trigger;
    const holds = await bus.hold(this.#spec, fn, { max: partitionsMax, leaseMs: LEASE_MS, from: this.#rules.from });
    this.#first = false;
    for (const hold of holds) {
      const run = this.#runs.get(hold.partition);
      if (run !== undefined && run.receipt === hold.receipt && !run.lost) continue;
      run?.abort();
      await run?.stop();
      const of = { project: this.#project, stream, function: fn, key: this.key, rules: () => this.#rules };
      this.#runs.set(hold.partition, new PartitionRun({ ...this.#needs, leaseMs: LEASE_MS }, of, hold));
    }
  }

  #onEnded(): void {
    if (!this.#closed) this.#plan();
  }

  /** Looks again when something is due that nobody says. */
  #plan(): void {
    const { clock } = this.#needs;
    let at = this.#standbyUntil;
    if (this.#rules.windows !== undefined) at = Math.min(at, clock.now() + ABANDONED_WINDOWS_MS);
    for (const run of this.#runs.values()) {
      if (run.running) continue;
      at = Math.min(at, run.lost ? clock.now() + this.#retryMs : (run.windowDueAt ?? Infinity));
    }
    // What else is due was not seen: it waits for that look, too.
    if (this.#retryAt !== Infinity) at = this.#retryAt;
    this.#cancelTimer?.();
    this.#cancelTimer = at === Infinity ? undefined : clock.after(Math.max(0, at - clock.now()), () => void this.look());
  }
}
