// The node's own limit: requests a second of one client address, whatever they ask for (VIRGA_LIMIT_CLIENT_REQUESTS_PER_SECOND).
// Asked by accept.ts before anything is routed. Invariant: an address costs one bucket at most, out of a bounded number.
import { VirgaError } from '../../protocol/errors.ts';
import { Buckets } from './buckets.ts';
import type { BucketSet } from './buckets.ts';
import { addressKey } from './client-key.ts';

/** After a pause so many seconds' worth may come at once: a page with its files is not held up. */
const BURST_S = 2;

export class ClientLimit {
  readonly #perS: number;
  readonly #set: BucketSet;
  readonly #nowMs: () => number;

  constructor(options: { requestsPerS: number; bucketsMax: number; nowMs?: () => number }) {
    this.#perS = options.requestsPerS;
    this.#set = new Buckets(options.bucketsMax).set('node', {
      everyMs: 1_000 / options.requestsPerS,
      burst: options.requestsPerS * BURST_S,
    });
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** undefined: it may pass. */
  refusal(address: string): VirgaError | undefined {
    const nowMs = this.#nowMs();
    const bucket = this.#set.take(addressKey(address), nowMs);
    const waitMs = this.#set.waitMs(bucket, nowMs);
    if (waitMs === 0) {
      this.#set.spend(bucket, nowMs);
      return undefined;
    }
    return new VirgaError('rate_limited', `this node takes ${this.#perS} requests a second of one address`, {
      detail: { policies: ['node'] },
      retryAfterS: Math.ceil(waitMs / 1_000),
    });
  }
}
