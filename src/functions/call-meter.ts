// What the calls of one version took of the processors since the last look: counted as they begin and end, measured on the
// sandboxes that ran them, and told to the function's habits and to the line in which its project stands.
// Invariant: a call's running time counts once, in parts if it lasts over several looks; nothing is read while nothing ran.
// Part of version-pool.ts.
import type { ProjectLoad, VirtualTime } from './fair-share.ts';
import type { Habits } from './habits.ts';
import type { Instance } from './instance.ts';

/** Less running time than this says nothing of a function, ms. */
const BUSY_MS_MIN = 20;

export class CallMeter {
  readonly #habits: Habits;
  readonly #project: ProjectLoad;
  readonly #time: VirtualTime;
  #since = performance.now();
  #busyMs = 0;
  #ended = 0;
  #quickestMs = Infinity;
  /** Processor time that the project was charged in advance. */
  #chargedMs = 0;

  constructor(parts: { habits: Habits; project: ProjectLoad; time: VirtualTime }) {
    this.#habits = parts.habits;
    this.#project = parts.project;
    this.#time = parts.time;
  }

  began(chargedMs: number): void {
    this.#chargedMs += chargedMs;
  }

  ended(runningAt: number, now: number): void {
    const tookMs = now - runningAt;
    this.#ended++;
    this.#busyMs += runningAt > this.#since ? tookMs : now - this.#since;
    if (tookMs < this.#quickestMs) this.#quickestMs = tookMs;
  }

  /** `crowding`: how many wanted to run for each processor. */
  look(now: number, instances: Iterable<Instance>, crowding: number): void {
    let busyMs = this.#busyMs;
    const active: Instance[] = [];
    for (const instance of instances) {
      if (instance.calls.size === 0 && instance.idleSince < this.#since) continue;
      active.push(instance);
      for (const { runningAt } of instance.calls.items()) busyMs += now - Math.max(runningAt, this.#since);
    }
    if (busyMs < BUSY_MS_MIN) return;
    let processorMs: number | undefined;
    for (const instance of active) {
      const total = instance.sandbox.processorMs();
      if (total === null) continue;
      processorMs = (processorMs ?? 0) + Math.max(0, total - instance.accounts.processorMs);
      instance.accounts.processorMs = total;
    }
    this.#habits.use.measured({ processorMs, busyMs, calls: this.#ended, quickestMs: this.#quickestMs, crowding });
    if (processorMs !== undefined) this.#time.correct(this.#project, processorMs - this.#chargedMs);
    this.#since = now;
    this.#busyMs = this.#ended = this.#chargedMs = 0;
    this.#quickestMs = Infinity;
  }
}
