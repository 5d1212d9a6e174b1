// The deadlines of the calls of one instance. They all have the version's timeout, so one timer does for them: it looks at
// those that run when it fires, and is set again for the oldest of the rest; a call that is in time costs none. In the last
// half second before a deadline it also finds out whether the instance computes or waits: by the CPU time that it uses, or
// is ready to use.
// Invariant: a call that runs for its timeout is reported within a millisecond; with no call running nothing here keeps the
// process. Owned by instance.ts.
import type { Explanation } from '../protocol/explanation.ts';
import type { StreamTable } from '../protocol/stream-table.ts';
import type { CpuClock, Sandbox } from '../sandbox/sandbox.ts';
import type { Call } from './call.ts';

/** Of a shorter timeout half of it. */
const WINDOW_MS = 500;

export interface DeadlineOptions {
  timeoutMs: number;
  onLate: (call: Call, cpu: Explanation['cpu']) => void;
}

export class Deadlines {
  readonly #calls: StreamTable<Call>;
  readonly #sandbox: Pick<Sandbox, 'cpu'>;
  readonly #timeoutMs: number;
  readonly #windowMs: number;
  readonly #onLate: DeadlineOptions['onLate'];
  /** Calls in their last half second, with the CPU clock at its beginning. */
  readonly #watched = new Map<Call, { since: number; before: CpuClock | null }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(calls: StreamTable<Call>, sandbox: Pick<Sandbox, 'cpu'>, { timeoutMs, onLate }: DeadlineOptions) {
    this.#calls = calls;
    this.#sandbox = sandbox;
    this.#timeoutMs = timeoutMs;
    this.#windowMs = Math.min(WINDOW_MS, timeoutMs / 2);
    this.#onLate = onLate;
  }

  /** A call was added. */
  began(): void {
    if (this.#timer === undefined) this.#set(this.#timeoutMs - this.#windowMs);
    else if (this.#calls.size === 1) this.#timer.ref();
  }

  /** A call was removed. */
  ended(): void {
    if (this.#calls.size === 0) this.#timer?.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #set(inMs: number): void {
    this.#timer = setTimeout(() => this.#look(), inMs);
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    const late: Call[] = [];
    let nextMs = Infinity;
    for (const call of this.#watched.keys()) if (call.state !== 'running') this.#watched.delete(call);
    for (const call of this.#calls.items()) {
      // A timer counts whole milliseconds and may fire up to one early.
      const leftMs = call.runningAt + this.#timeoutMs - now;
      if (leftMs < 1) late.push(call);
      else if (leftMs < this.#windowMs + 1) {
        if (!this.#watched.has(call)) this.#watched.set(call, { since: now, before: this.#sandbox.cpu() });
        nextMs = Math.min(nextMs, leftMs);
      } else nextMs = Math.min(nextMs, leftMs - this.#windowMs);
    }
    if (nextMs < Infinity) this.#set(nextMs);
    // Last, since it ends calls and may begin others.
    for (const call of late) this.#onLate(call, this.#used(call, now));
  }

  #used(call: Call, now: number): Explanation['cpu'] {
    const watched = this.#watched.get(call);
    this.#watched.delete(call);
    const before = watched?.before ?? null;
    const after = this.#sandbox.cpu();
    if (watched === undefined || before === null || after === null) return null;
    const ms = (of: keyof CpuClock): number => Math.max(0, after[of] - before[of]);
    return { ms: ms('ranMs'), queuedMs: ms('queuedMs'), windowMs: now - watched.since };
  }
}
