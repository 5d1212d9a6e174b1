// Tells projects what happened to them and nobody told them of: at the start of the control role what a killed one left behind, later what
// could not be published at once. Invariant: a round is over when close() resolves. Made by control.ts.
import { projectsToTell, publishPlatformEvents } from '../events/platform-events.ts';
import type { PlatformEventParts } from '../events/platform-events.ts';

interface Parts extends PlatformEventParts {
  /** Resolves when it is known what is deployed now. */
  refreshTopologies: () => Promise<void>;
  /** Unix ms. */
  now: () => number;
}

const EVERY_MS = 10_000;
/** Whoever made it happen tells it first. */
const AFTER_MS = 10_000;

export class PlatformNews {
  readonly #parts: Parts;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void>;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#round = this.#tell(0);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  async #tell(afterMs: number): Promise<void> {
    const { records, refreshTopologies, now, log } = this.#parts;
    try {
      const projects = await projectsToTell(records, now() - afterMs);
      if (projects.length > 0) await refreshTopologies();
      for (const project of projects) if (!this.#stop.signal.aborted) await publishPlatformEvents(this.#parts, project);
    } catch (error) {
      log('warn', 'what happened to projects could not be looked up', { reason: String(error) });
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#tell(AFTER_MS);
    }, EVERY_MS);
  }
}
