// How crowded the processors of this machine are: how many threads want to run for each, as the kernel counts them, averaged
// over a second or so.
// Invariant: crowding ≥ 1. A look takes some 20 µs. Looked at by engine.ts four times a second, asked by version-pool.ts.
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';

const WEIGHT = 0.25;

export class MachineLoad {
  readonly #processors: number;
  #running: number;

  constructor(processors: number) {
    this.#processors = processors;
    this.#running = running();
  }

  get crowding(): number {
    return Math.max(1, this.#running / this.#processors);
  }

  look(): void {
    this.#running += WEIGHT * (running() - this.#running);
  }
}

/** Threads that run or want to; the machine's average over a minute where there is no /proc. */
function running(): number {
  try {
    return Number(/(\d+)\/\d+/.exec(readFileSync('/proc/loadavg', 'latin1'))?.[1] ?? 1);
  } catch {
    return loadavg()[0]!;
  }
}
