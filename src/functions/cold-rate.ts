// How many blanks of one shape to keep ready, from how many were wanted lately: enough for the busiest second of the last
// ten minutes while new ones boot, with three standard deviations to spare (arrivals taken as Poisson).
// Pure but for what it remembers: 600 counts. Owned by blanks.ts.

const SECONDS = 600;

export class ColdRate {
  readonly #counts = new Uint16Array(SECONDS);
  #second: number;

  constructor(nowMs: number) {
    this.#second = Math.floor(nowMs / 1000);
  }

  /** A sandbox of this shape was wanted. */
  note(nowMs: number): void {
    this.#advance(nowMs);
    const at = this.#second % SECONDS;
    this.#counts[at] = Math.min(0xffff, this.#counts[at]! + 1);
  }

  /** `bootMs`: from the order for a blank until it is ready. */
  wanted(nowMs: number, { bootMs, min, max }: { bootMs: number; min: number; max: number }): number {
    this.#advance(nowMs);
    let peak = 0;
    for (const count of this.#counts) if (count > peak) peak = count;
    const whileBooting = (peak * bootMs) / 1000;
    return Math.min(max, Math.max(min, Math.ceil(whileBooting + 3 * Math.sqrt(whileBooting))));
  }

  #advance(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    const passed = Math.min(SECONDS, second - this.#second);
    for (let n = 1; n <= passed; n++) this.#counts[(this.#second + n) % SECONDS] = 0;
    this.#second = Math.max(this.#second, second);
  }
}
