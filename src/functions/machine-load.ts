// Whether this machine has processors to spare, from the kernel's own counts between two looks.
// Invariant: each answer is about the time since the one before. Called by engine.ts twice a second: a look takes 0.1-0.2 ms.
import { cpus } from 'node:os';

/** Less than this part of the processors idle: none is to spare. */
const IDLE_PART_MIN = 0.1;

export class MachineLoad {
  #idleMs = 0;
  #allMs = 0;

  saturated(): boolean {
    let idleMs = 0;
    let allMs = 0;
    for (const { times } of cpus()) {
      idleMs += times.idle;
      allMs += times.idle + times.user + times.nice + times.sys + times.irq;
    }
    const part = (idleMs - this.#idleMs) / Math.max(1, allMs - this.#allMs);
    this.#idleMs = idleMs;
    this.#allMs = allMs;
    return part < IDLE_PART_MIN;
  }
}
