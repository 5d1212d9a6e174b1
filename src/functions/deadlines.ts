// The deadlines of the calls of one instance. They all have the version's timeout, so one timer does for them: it looks at
// those that run when it fires, and is set again for the oldest of the rest; a call that is in time costs none.
// Invariant: a call that runs for its timeout is reported within a millisecond; with no call running nothing here keeps the
// process. Owned by instance.ts.
import type { StreamTable } from '../protocol/stream-table.ts';
import type { Call } from './call.ts';

export class Deadlines {
  readonly #calls: StreamTable<Call>;
  readonly #timeoutMs: number;
  readonly #onLate: (call: Call) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(calls: StreamTable<Call>, options: { timeoutMs: number; onLate: (call: Call) => void }) {
    this.#calls = calls;
    this.#timeoutMs = options.timeoutMs;
    this.#onLate = options.onLate;
  }

  /** A call was added. */
  began(): void {
    if (this.#timer === undefined) this.#set(this.#timeoutMs);
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
    for (const call of this.#calls.items()) {
      // A timer counts whole milliseconds and may fire up to one early.
      const leftMs = call.runningAt + this.#timeoutMs - now;
      if (leftMs < 1) late.push(call);
      else nextMs = Math.min(nextMs, leftMs);
    }
    if (nextMs < Infinity) this.#set(nextMs);
    // Last, since it ends calls and may begin others.
    for (const call of late) this.#onLate(call);
  }
}
