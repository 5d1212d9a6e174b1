// What a tenant's log is told about connections that were refused or failed: one line for each destination, not one for each try.
// Invariant: at most BURST lines at once and one every SECONDS_PER_LINE after that, whatever the code in the sandbox does;
// what was left out is counted in the next line. Time is passed in. Caller: tenant.ts.
import { TokenBucket } from '../../lib/token-bucket.ts';

const BURST = 10;
const SECONDS_PER_LINE = 2;
/** The same line is said again after this long. */
const AGAIN_MS = 30_000;
const REMEMBERED_MAX = 200;

export class Refusals {
  readonly #say: (text: string) => void;
  readonly #bucket: TokenBucket;
  readonly #said = new Map<string, number>();
  #leftOut = 0;

  constructor(say: (text: string) => void, nowMs: number) {
    this.#say = say;
    this.#bucket = new TokenBucket({ ratePerS: 1 / SECONDS_PER_LINE, burst: BURST, nowMs });
  }

  report(text: string, nowMs: number): void {
    const before = this.#said.get(text);
    if ((before !== undefined && nowMs - before < AGAIN_MS) || !this.#bucket.take(1, nowMs)) {
      this.#leftOut++;
      return;
    }
    this.#said.delete(text);
    this.#said.set(text, nowMs);
    if (this.#said.size > REMEMBERED_MAX) this.#said.delete(this.#said.keys().next().value!);
    this.#say(this.#leftOut === 0 ? text : `${text} (${this.#leftOut} like this or others were not logged)`);
    this.#leftOut = 0;
  }
}
