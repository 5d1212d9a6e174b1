// Files for sandboxes that run already: each has a slot, a folder on a shared tmpfs in the wall's mount namespace, whose
// subfolders it sees at its late targets; what is mounted on those appears inside by propagation.
// Invariant: what is shown is read-only from its first moment; a slot is gone after remove(). Owned by wall.ts.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Mount } from '../driver.ts';
import type { MountAnswer, MountRequest } from './late-mounts-inside.ts';

/** A request without its number; distributes over the union. */
type Wanted = MountRequest extends infer R ? (R extends MountRequest ? Omit<R, 'id'> : never) : never;

/** The way to what mounts (late-mounts-inside.ts). */
export interface MountPort {
  send(request: MountRequest): void;
  /** `onEnd` is called once. */
  listen(onAnswer: (answer: MountAnswer) => void, onEnd: (error: Error) => void): void;
  close(): void;
}

const PROGRAM = new URL('late-mounts-inside.ts', import.meta.url);
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];

/** A thread of this process in the namespace. */
export function mountThread(namespaceFd: number): MountPort {
  const worker = new Worker(PROGRAM, { workerData: { namespaceFd }, execArgv: NODE_FLAGS, resourceLimits: { maxOldGenerationSizeMb: 32 } });
  worker.unref();
  return {
    send: (request) => worker.postMessage(request),
    listen: (onAnswer, onEnd) => {
      worker.on('message', onAnswer);
      worker.on('error', (error) => onEnd(error as Error));
      worker.on('exit', () => onEnd(new Error('the thread that mounts has ended')));
    },
    close: () => void worker.terminate(),
  };
}

/** A process that `enter` puts into the namespaces. It ends when this one does. */
export function mountProcess(enter: string[]): MountPort {
  const [program, ...args] = [...enter, process.execPath, ...NODE_FLAGS, '--max-old-space-size=32', PROGRAM.pathname];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], cwd: '/', detached: true });
  child.unref();
  child.channel?.unref();
  return {
    send: (request) => void child.send(request, () => {}),
    listen: (onAnswer, onEnd) => {
      child.on('message', onAnswer);
      child.on('error', onEnd);
      child.on('exit', () => onEnd(new Error('the process that mounts has ended')));
    },
    close: () => void (child.connected && child.disconnect()),
  };
}

export class LateMounts {
  readonly #open: () => MountPort;
  #port: MountPort | undefined;
  readonly #base: string;
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #lastId = 0;
  #failed: Error | undefined;

  /** `base`: the folder, in the namespace, below which slots are made. `open` is called at the first of them. */
  constructor(open: () => MountPort, base: string) {
    this.#open = open;
    this.#base = base;
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
    this.#port?.close();
  }

  #ask(request: Wanted): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    const id = ++this.#lastId;
    const waiting = Promise.withResolvers<void>();
    this.#waiting.set(id, waiting);
    this.#port ??= this.#connect();
    this.#port.send({ ...request, id });
    return waiting.promise;
  }

  #connect(): MountPort {
    const port = this.#open();
    port.listen(
      ({ id, error }) => {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (error === null) waiting?.resolve();
        else waiting?.reject(new Error(error));
      },
      (error) => this.#fail(error),
    );
    return port;
  }

  #fail(error: Error): void {
    this.#failed ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#failed);
    this.#waiting.clear();
  }
}
