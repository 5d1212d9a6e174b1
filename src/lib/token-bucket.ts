// A token bucket: `ratePerS` tokens a second, at most `burst` saved up. Time is passed in (ms), so tests need no clock.
// Callers: functions/instance.ts (log bytes of one instance).

export class TokenBucket {
  readonly #ratePerMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(options: { ratePerS: number; burst: number; nowMs: number }) {
    this.#ratePerMs = options.ratePerS / 1000;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#at = options.nowMs;
  }

  /** Takes `tokens` if they are there. */
  take(tokens: number, nowMs: number): boolean {
    if (nowMs > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (nowMs - this.#at) * this.#ratePerMs);
      this.#at = nowMs;
    }
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }
}
