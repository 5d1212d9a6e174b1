// Live instances of one version that have a free slot, the one that became free last on top. Invariant: each is in it once.
// Part of version-pool.ts.
import type { Instance } from './instance.ts';

export class FreeInstances {
  readonly #stack: Instance[] = [];

  get size(): number {
    return this.#stack.length;
  }

  /** The one that was used last: the others grow old and go. */
  get top(): Instance | undefined {
    const stack = this.#stack;
    for (let instance = stack.at(-1); instance !== undefined; instance = stack.at(-1)) {
      if (instance.freeSlots > 0) return instance;
      stack.pop();
    }
    return undefined;
  }

  push(instance: Instance): void {
    if (!this.#stack.includes(instance)) this.#stack.push(instance);
  }

  remove(instance: Instance): void {
    const at = this.#stack.lastIndexOf(instance);
    if (at >= 0) this.#stack.splice(at, 1);
  }

  [Symbol.iterator](): Iterator<Instance> {
    return this.#stack[Symbol.iterator]();
  }
}
