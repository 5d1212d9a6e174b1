// What is known of a function beyond the life of its instances: how often it is called and after which idle times, what a cold
// start of it costs, what an idle instance holds, and how much of a processor a call takes.
// Invariant: a few hundred bytes, whatever happens; older calls count less. Held by engine.ts as long as the function is
// current or has instances; written by version-pool.ts.
import { IdleTimes } from './idle-times.ts';
import { keepAlive } from './keep-alive.ts';
import type { KeepAlive } from './keep-alive.ts';
import { ProcessorUse } from './processor-use.ts';

const AVERAGE_WEIGHT = 0.2;
const FIRST_COLD_MS = 30;
const FIRST_SERVICE_MS = 5;

export class Habits {
  readonly idleTimes = new IdleTimes();
  readonly use: ProcessorUse;
  /** Calls, older ones counting less. */
  frequency = 0;
  /** performance.now() when its last call ended; 0: none has. */
  quietSince = 0;
  /** Moving averages, ms. */
  serviceMs = FIRST_SERVICE_MS;
  coldMs = FIRST_COLD_MS;
  initMs = 0;
  /** What an idle instance held lately, MiB; 0: not known yet. */
  heldMiB = 0;

  constructor(processors: number) {
    this.use = new ProcessorUse(processors);
  }

  /** A call came while none ran. */
  wokeUp(now: number): void {
    if (this.quietSince > 0) this.idleTimes.observe(now - this.quietSince);
  }

  started(tookMs: number, initMs: number): void {
    this.coldMs += AVERAGE_WEIGHT * (tookMs - this.coldMs);
    this.initMs += AVERAGE_WEIGHT * (initMs - this.initMs);
    // The first says more than what was assumed before it.
    if (this.initMs < initMs && this.frequency <= 1) this.initMs = initMs;
  }

  served(tookMs: number): void {
    this.serviceMs += AVERAGE_WEIGHT * (tookMs - this.serviceMs);
  }

  held(mib: number): void {
    this.heldMiB = this.heldMiB === 0 ? mib : this.heldMiB + AVERAGE_WEIGHT * (mib - this.heldMiB);
  }

  /** `limitMiB`: what an instance may hold, as long as nobody has seen what it does hold. */
  keepAlive(idleMs: number, limitMiB: number): KeepAlive {
    const { idleTimes, coldMs, initMs } = this;
    return keepAlive({ idleTimes, idleMs, coldMs, initMs, heldMiB: this.heldMiB === 0 ? limitMiB : this.heldMiB });
  }

  fadeCalls(): void {
    this.frequency /= 2;
  }
}
