// Workflows in the control role: the upkeep of their runs. Invariant: a round of it is over when close() resolves. Made by control.ts.
import { upkeepOfRuns } from '../events/workflows/upkeep.ts';
import type { RunUpkeepNeeds } from '../events/workflows/upkeep.ts';
import type { PlatformLog } from './platform-log.ts';

const EVERY_MS = 30_000;

export class ControlWorkflows {
  readonly #needs: RunUpkeepNeeds & { log: PlatformLog };
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout;
  #round: Promise<void> = Promise.resolve();

  constructor(needs: RunUpkeepNeeds & { log: PlatformLog }) {
    this.#needs = needs;
    this.#timer = setTimeout(() => this.#run(), EVERY_MS);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #run(): void {
    const { log } = this.#needs;
    this.#round = upkeepOfRuns(this.#needs, this.#stop.signal)
      .then(({ woken, removed }) => {
        if (woken > 0) log('warn', 'runs of workflows were late, and were woken up again', { woken });
        if (removed > 0) log('info', 'runs of workflows that ended long ago were removed', { removed });
      })
      .catch((error: unknown) => log('warn', 'the upkeep of workflows failed and is tried again', { reason: String(error) }))
      .finally(() => {
        if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.#run(), EVERY_MS);
      });
  }
}
