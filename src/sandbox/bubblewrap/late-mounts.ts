// Files for sandboxes that run already: each has a slot, a folder on a shared tmpfs in the root wall's mount namespace,
// whose subfolders it sees at its late targets; what is mounted on those appears inside by propagation.
// Invariant: what is shown is read-only from its first moment; a slot is gone after remove(). Owned by root-wall.ts.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Mount } from '../driver.ts';
import type { MountAnswer, MountRequest } from './late-mounts-thread.ts';

/** A request without its number; distributes over the union. */
type Wanted = MountRequest extends infer R ? (R extends MountRequest ? Omit<R, 'id'> : never) : never;

export class LateMounts {
  readonly #worker: Worker;
  readonly #base: string;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #lastId = 0;
  #failed: Error | undefined;

  /** `base`: the folder, in the namespace, below which slots are made. */
  constructor(options: { namespaceFd: number; base: string }) {
    this.#base = options.base;
    this.#worker = new Worker(new URL('late-mounts-thread.ts', import.meta.url), {
      workerData: { namespaceFd: options.namespaceFd },
      execArgv: ['--disable-warning=ExperimentalWarning'],
      // A launcher starts nothing else in it.
      resourceLimits: { maxOldGenerationSizeMb: 32 },
    });
    this.#worker.unref();
    this.#worker.on('message', ({ id, error }: MountAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === null) waiting?.resolve();
      else waiting?.reject(new Error(error));
    });
    this.#worker.on('error', (error) => this.#fail(error as Error));
    this.#worker.on('exit', () => this.#fail(new Error('the thread that mounts has ended')));
  }

  /** Makes a slot with an empty folder for each target; resolves with what to bind where. */
  async slot(id: string, targets: string[]): Promise<Mount[]> {
    const mounts = targets.map((target, index) => ({ source: join(this.#base, id, String(index)), target }));
    await this.#ask({ op: 'make', folders: mounts.map(({ source }) => source) });
    return mounts;
  }

  /** `mounts`: sources in the namespace, on folders of a slot. */
  show(mounts: Mount[]): Promise<void> {
    return this.#ask({ op: 'mount', mounts });
  }

  /** `targets`: the folders of the slot on which something was mounted. */
  remove(id: string, targets: string[]): Promise<void> {
    return this.#ask({ op: 'remove', targets, folder: join(this.#base, id) });
  }

  close(): void {
    void this.#worker.terminate();
  }

  #ask(request: Wanted): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(id, waiting);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker.postMessage({ ...request, id });
    return waiting.promise;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failed);
    this.#waiting.clear();
  }
}
