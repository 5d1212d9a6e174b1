// Whose lines a program writes: of the invocation when one alone runs, of the one that ended last for a moment after it (a line
// and the response leave the program together and arrive by two ways), else of none. Used by web.ts.
const AFTERWARDS_MS = 50;

export class LineOwner {
  readonly #running = new Set<number>();
  #last = 0;
  #endedAt = -Infinity;

  began(stream: number): void {
    this.#running.add(stream);
  }

  ended(stream: number): void {
    this.#running.delete(stream);
    if (this.#running.size > 0) return;
    this.#last = stream;
    this.#endedAt = performance.now();
  }

  /** The stream; 0: nobody's. */
  get stream(): number {
    if (this.#running.size === 1) for (const stream of this.#running) return stream;
    return this.#running.size === 0 && performance.now() - this.#endedAt < AFTERWARDS_MS ? this.#last : 0;
  }
}
