// Holds a sandbox to its memory limit where no cgroup can: looks at it ten times a second and kills it above the limit.
// A function that allocates fast can pass the limit by what it touches in 100 ms before it dies; files in /tmp are not
// counted. Invariant: one timer per watched sandbox, gone with stop(). Callers: both drivers.
import { residentBytes } from './process-tree.ts';

const PERIOD_MS = 100;

export class MemoryWatcher {
  #timer: NodeJS.Timeout;
  #exceeded = false;
  #peakBytes = 0;

  constructor(options: { limitBytes: number; pids: () => number[]; kill: () => void }) {
    this.#timer = setInterval(() => {
      const bytes = residentBytes(options.pids());
      this.#peakBytes = Math.max(this.#peakBytes, bytes);
      if (bytes <= options.limitBytes) return;
      this.#exceeded = true;
      this.stop();
      options.kill();
    }, PERIOD_MS);
  }

  get exceeded(): boolean {
    return this.#exceeded;
  }

  /** The most that it has seen; null: it has seen nothing. */
  get peakBytes(): number | null {
    return this.#peakBytes === 0 ? null : this.#peakBytes;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
