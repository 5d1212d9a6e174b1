// What principals have used of their plans in this day or month: counted in memory, written as increments every few seconds
// and at the end. Several edges may count beside each other: the table adds their increments up, and each write brings the
// sum back.
//
//   spend ─▶ pending ─▶ (every 2 s, and at close) ─▶ used = used + pending, returning used ─▶ known
//
// Invariant: the hot path asks and changes memory alone; at most countersMax counters; what a kill -9 loses is what came after
// the last write. A write that failed is tried again with the next one.
import { periodOf } from '../../protocol/usage.ts';
import type { UsageCounter } from '../../protocol/usage.ts';

/** Where counters are kept; observe/usage-counters.ts implements it. */
export interface UsageStore {
  /** Counters of these periods, those with most first. */
  load(periods: string[], countersMax: number): Promise<UsageCounter[]>;
  /** Adds `used` to each; resolves to the sums. */
  add(counters: UsageCounter[]): Promise<UsageCounter[]>;
}

export interface Period {
  readonly per: 'day' | 'month';
  key: string;
  beginsMs: number;
  endsMs: number;
}

interface Counter {
  project: string;
  subject: string;
  plan: string;
  period: string;
  /** Of all edges, as of the last write. */
  known: number;
  /** Being written. */
  writing: number;
  /** Since then. */
  pending: number;
}

export interface QuotasOptions {
  store: UsageStore;
  countersMax: number;
  log: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
  /** Unix ms. */
  nowMs?: () => number;
  writeEveryMs?: number;
}

const WRITE_EVERY_MS = 2_000;
/** Of one statement. */
const COUNTERS_AT_ONCE = 5_000;

export class Quotas {
  readonly #options: QuotasOptions;
  readonly #nowMs: () => number;
  readonly #day: Period = { per: 'day', key: '', beginsMs: 0, endsMs: 0 };
  readonly #month: Period = { per: 'month', key: '', beginsMs: 0, endsMs: 0 };
  /** Project, period and subject → counter, the one that was asked for last at the end. */
  readonly #counters = new Map<string, Counter>();
  /** Those with something pending, by the same keys. */
  readonly #changed = new Map<string, Counter>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #troubled = false;

  constructor(options: QuotasOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Brings back what was counted before this process. */
  async load(): Promise<void> {
    const periods = [this.period('day').key, this.period('month').key];
    for (const counter of await this.#options.store.load(periods, this.#options.countersMax)) this.#take(counter).known = counter.used;
  }

  /** The one of now. */
  period(per: 'day' | 'month'): Period {
    const period = per === 'day' ? this.#day : this.#month;
    const nowMs = this.#nowMs();
    // Also when the clock was set back.
    if (nowMs >= period.endsMs || nowMs < period.beginsMs) Object.assign(period, periodOf(per, nowMs));
    return period;
  }

  /** How long the period still lasts, ms. */
  restMs(period: Period): number {
    return Math.max(0, period.endsMs - this.#nowMs());
  }

  used(project: string, subject: string, period: Period): number {
    const counter = this.#counters.get(keyOf(project, subject, period.key));
    return counter === undefined ? 0 : counter.known + counter.writing + counter.pending;
  }

  spend(project: string, subject: string, { period, plan }: { period: Period; plan: string }): void {
    const counter = this.#take({ project, subject, plan, period: period.key });
    counter.plan = plan;
    counter.pending++;
    this.#changed.set(keyOf(project, subject, period.key), counter);
    this.#timer ??= setTimeout(() => void this.write(), this.#options.writeEveryMs ?? WRITE_EVERY_MS).unref();
  }

  /** Writes all that is pending. Never rejects. */
  write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = (this.#writing ?? Promise.resolve()).then(() => this.#writeNow());
    return this.#writing;
  }

  async close(timeoutMs: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, timeoutMs);
    await Promise.race([this.write(), late.promise]);
    clearTimeout(timer);
    clearTimeout(this.#timer);
  }

  async #writeNow(): Promise<void> {
    const changed = [...this.#changed.values()];
    this.#changed.clear();
    for (let at = 0; at < changed.length; at += COUNTERS_AT_ONCE) {
      const batch = changed.slice(at, at + COUNTERS_AT_ONCE);
      for (const counter of batch) {
        counter.writing = counter.pending;
        counter.pending = 0;
      }
      try {
        const sums = await this.#options.store.add(
          batch.map(({ project, subject, plan, period, writing }) => ({ project, subject, plan, period, used: writing })),
        );
        for (const { project, subject, period, used } of sums) {
          const counter = this.#counters.get(keyOf(project, subject, period));
          if (counter !== undefined) counter.known = used;
        }
        for (const counter of batch) counter.writing = 0;
        this.#troubled = false;
      } catch (error) {
        this.#unwritten(changed.slice(at));
        if (!this.#troubled)
          this.#options.log('warn', 'the use of plans cannot be written; it is kept in memory and tried again', { reason: String(error) });
        this.#troubled = true;
        return;
      }
    }
    this.#forgetPast();
  }

  #unwritten(counters: Counter[]): void {
    for (const counter of counters) {
      const key = keyOf(counter.project, counter.subject, counter.period);
      const later = this.#changed.get(key) ?? counter;
      const count = counter.writing;
      counter.writing = 0;
      // It may have been forgotten and made anew meanwhile.
      later.pending += later === counter ? count : count + counter.pending;
      this.#changed.set(key, later);
    }
    this.#timer ??= setTimeout(() => void this.write(), this.#options.writeEveryMs ?? WRITE_EVERY_MS).unref();
  }

  /** Counters of periods that are over and written. */
  #forgetPast(): void {
    const now = [this.period('day').key, this.period('month').key];
    for (const [key, counter] of this.#counters) if (!now.includes(counter.period) && !this.#changed.has(key)) this.#counters.delete(key);
  }

  #take({ project, subject, plan, period }: Omit<UsageCounter, 'used'>): Counter {
    const key = keyOf(project, subject, period);
    let counter = this.#counters.get(key) ?? this.#changed.get(key);
    if (counter === undefined) counter = { project, subject, plan, period, known: 0, writing: 0, pending: 0 };
    else this.#counters.delete(key);
    this.#counters.set(key, counter);
    if (this.#counters.size > this.#options.countersMax) {
      // Forgotten, not lost: what is pending of it is still in #changed, and a write brings its sum back when it returns.
      const [oldest] = this.#counters.keys();
      this.#counters.delete(oldest!);
      // Unless there are more of these than there may be, since Postgres is away.
      if (this.#changed.size > this.#options.countersMax) this.#changed.delete(oldest!);
    }
    return counter;
  }
}

function keyOf(project: string, subject: string, period: string): string {
  return `${project}\n${period}\n${subject}`;
}
