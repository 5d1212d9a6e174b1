// Keeps uploads and the removal of artifacts out of each other's way: both work on files and on a row, and no database
// lock spans the two. Invariant: of one sha256 either any number of uploads run, or one removal. One control role owns
// the blob store of a node, so memory is the right place for this.
import { setImmediate } from 'node:timers/promises';

export class ArtifactsInUse {
  readonly #uploads = new Map<string, number>();
  readonly #removals = new Map<string, Promise<unknown>>();

  /** Waits for a removal that runs, then keeps others away until `work` is done. */
  async uploading<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    for (let removal = this.#removals.get(sha256); removal !== undefined; removal = this.#removals.get(sha256)) {
      await removal.catch(() => {});
      await setImmediate();
    }
    this.#uploads.set(sha256, (this.#uploads.get(sha256) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = this.#uploads.get(sha256)! - 1;
      if (left === 0) this.#uploads.delete(sha256);
      else this.#uploads.set(sha256, left);
    }
  }

  /** undefined, and nothing done, while an upload runs. */
  async removing<T>(sha256: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#uploads.has(sha256) || this.#removals.has(sha256)) return undefined;
    const removal = work();
    this.#removals.set(sha256, removal);
    try {
      return await removal;
    } finally {
      this.#removals.delete(sha256);
    }
  }
}
