// The last few calls of an instance that ended: what they log afterwards (context.waitUntil, a program's line that comes by
// another way than its answer) is still theirs. Invariant: holds at most CALLS_MAX. Owned by instance.ts.
import type { Call } from './call.ts';

const CALLS_MAX = 32;

export class EndedCalls {
  readonly #calls: Call[] = [];
  #at = 0;

  add(call: Call): void {
    this.#calls[this.#at] = call;
    this.#at = (this.#at + 1) % CALLS_MAX;
  }

  of(stream: number): Call | undefined {
    return this.#calls.find((ended) => ended.stream === stream);
  }
}
