// Tokens that were verified a moment ago, so that a client that publishes thousands of messages a second costs no query for each.
// Invariants: a token that stops working is refused a second later at the latest; not more than so many are held, by their hash; what was
// refused is not remembered. Used by control.ts.
import { hash } from 'node:crypto';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Records } from '../store/records/records.ts';
import type { Principal } from './context.ts';
import { authenticate } from './tokens.ts';

const REMEMBERED_MS = 1_000;
const TOKENS_MAX = 1_000;

export class TokenMemory {
  readonly #records: Records;
  readonly #now: () => number;
  readonly #known = new BoundedMap<string, { principal: Promise<Principal>; until: number }>(TOKENS_MAX);

  /** `now`: of a clock that never goes back, ms. */
  constructor(records: Records, now: () => number = () => performance.now()) {
    this.#records = records;
    this.#now = now;
  }

  /** Fails with `unauthorized`. */
  async authenticate(authorization: string | undefined): Promise<Principal> {
    const key = hash('sha256', authorization ?? '', 'base64');
    const known = this.#known.get(key);
    if (known !== undefined && this.#now() < known.until) return await known.principal;
    // Requests that come meanwhile wait for the same answer.
    const principal = authenticate(this.#records, authorization);
    const entry = { principal, until: this.#now() + REMEMBERED_MS };
    this.#known.set(key, entry);
    principal.catch(() => {
      if (this.#known.get(key) === entry) this.#known.delete(key);
    });
    return await principal;
  }
}
