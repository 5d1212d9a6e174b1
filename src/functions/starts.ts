// The starts of one version's instances: those under way, and the pauses after ones that failed: a launcher that is away is
// tried again soon and for a while, code that does not load less and less often.
// Invariant: each start ends in one call of `live` or `failed`; `underWay` counts those that have not. Owned by version-pool.ts.
import { VirgaError } from '../protocol/errors.ts';
import type { Instance } from './instance.ts';

export interface StartsHost {
  /** Starts a sandbox and loads the code; the returned instance is live. */
  start(onSandbox: (instance: Instance) => void): Promise<Instance>;
  /** Its sandbox exists from now on. */
  registered(instance: Instance): void;
  live(instance: Instance, tookMs: number): void;
  /** `instance`: its sandbox existed. `again`: nothing is wrong with the code, and it will be tried again. */
  failed(failure: VirgaError, instance: Instance | undefined, again: boolean): void;
  /** A pause is over. */
  resume(): void;
}

/** While the launcher is being restarted, starts are tried again this often and this long. */
const RETRY_MS = 100;
const RETRY_FOR_MS = 5_000;
/** Longest pause before instances that nobody waits for are tried again. */
const PAUSE_MS_MAX = 30_000;

export class Starts {
  readonly #host: StartsHost;
  underWay = 0;
  /** Of those, the ones whose sandbox does not exist yet. */
  unregistered = 0;
  #failedInRow = 0;
  #blocked: NodeJS.Timeout | undefined;
  #pause: NodeJS.Timeout | undefined;

  constructor(host: StartsHost) {
    this.#host = host;
  }

  /** The last one failed for want of a launcher: none is tried now. */
  get blocked(): boolean {
    return this.#blocked !== undefined;
  }

  /** The last one failed: none is tried that nobody waits for. */
  get paused(): boolean {
    return this.#pause !== undefined;
  }

  /** `oldestAt()`: performance.now() when the call came that has waited longest. Never rejects. */
  async begin(oldestAt: () => number | undefined): Promise<void> {
    const startedAt = performance.now();
    let instance: Instance | undefined;
    this.underWay++;
    this.unregistered++;
    try {
      const live = await this.#host.start((made) => {
        instance = made;
        this.unregistered--;
        this.#host.registered(made);
      });
      this.underWay--;
      this.#failedInRow = 0;
      this.#host.live(live, performance.now() - startedAt);
    } catch (error) {
      this.underWay--;
      if (instance === undefined) this.unregistered--;
      this.#pauseForMore();
      const failure =
        error instanceof VirgaError ? error : new VirgaError('internal', `starting failed: ${String(error)}`, { cause: error });
      const since = oldestAt();
      const again = failure.code === 'sandbox_unavailable' && since !== undefined && performance.now() - since < RETRY_FOR_MS;
      if (again) this.#block();
      this.#host.failed(failure, instance, again);
    }
  }

  close(): void {
    clearTimeout(this.#blocked);
    clearTimeout(this.#pause);
  }

  #block(): void {
    this.#blocked ??= setTimeout(() => {
      this.#blocked = undefined;
      this.#host.resume();
    }, RETRY_MS);
  }

  /** Code that does not load must not be loaded in a tight loop for the sake of instances.min. */
  #pauseForMore(): void {
    this.#failedInRow++;
    clearTimeout(this.#pause);
    this.#pause = setTimeout(
      () => {
        this.#pause = undefined;
        this.#host.resume();
      },
      Math.min(PAUSE_MS_MAX, RETRY_MS * 2 ** this.#failedInRow),
    );
    this.#pause.unref();
  }
}
