// A place in the code of a handler where steps come one after the other: the handler itself, or a branch of `parallel`. Each counts its
// own steps, so that branches which run at the same time find theirs again. Also the clock and the chance that a replay sees again.
import { createHash } from 'node:crypto';

export class Scope {
  readonly path: string;
  /** When the last step of it ended, Unix ms. */
  now: number;
  /** The step that runs here: in it no other can begin. */
  readonly inside: string | undefined;
  #parallels = 0;
  readonly #occurrences = new Map<string, number>();
  readonly #seed: string;
  #drawn = 0;

  constructor(options: { path: string; now: number; seed: string; inside?: string | undefined }) {
    this.path = options.path;
    this.now = options.now;
    this.inside = options.inside;
    this.#seed = options.seed;
  }

  /** 1, 2, 3… */
  count(kind: string, name: string): number {
    const key = `${kind} ${name}`;
    const count = (this.#occurrences.get(key) ?? 0) + 1;
    this.#occurrences.set(key, count);
    return count;
  }

  branches(count: number): Scope[] {
    const place = `${this.path}${this.path === '' ? '' : '/'}${++this.#parallels}`;
    return Array.from(
      { length: count },
      (_, i) => new Scope({ path: `${place}.${i + 1}`, now: this.now, seed: this.#seed, inside: this.inside }),
    );
  }

  /** 32 bytes that are the same in each replay, and others each time. */
  draw(): Buffer {
    return createHash('sha256')
      .update(`${this.#seed}\n${this.path}\n${++this.#drawn}`)
      .digest();
  }
}
