// Room for sandboxes on this node: memory, their number, and places to start. Whoever wants to start one, or to take a stopped
// one into service, asks here and stands in one line with all others (fair-share.ts); room is made by giving up blanks, then
// idle instances, least worth first (eviction.ts).
// Invariant: limits of what starts and runs, what stopped instances hold, and what blanks hold add up to at most
// limits.sandboxMemoryMiB; nobody is refused while an idle instance could go; a project that holds little is not kept waiting
// by one that holds much: that one gives up an instance as soon as its call has ended.
// Owned by engine.ts; asked by version-pool.ts.
import type { Blanks } from './blanks.ts';
import { EvictionClock } from './eviction.ts';
import { FairLine } from './fair-share.ts';
import type { VirtualTime, Waiting } from './fair-share.ts';
import type { Habits } from './habits.ts';
import type { Instance } from './instance.ts';
import { MemoryBudget, heldMiB } from './memory-budget.ts';
import type { DeployedVersion } from './version.ts';

/** A pool, as the room sees it. */
export interface Tenant extends Waiting {
  readonly version: DeployedVersion;
  readonly habits: Habits;
  readonly instances: ReadonlySet<Instance>;
  /** Idle instances that may go: none that it has to keep. */
  idle(): Iterable<Instance>;
  /** The instance is given up: it is killed, and not of the pool any more. */
  evict(instance: Instance): void;
  /** Takes what it waits for, if it still wants something: room for one instance, or for a stopped one to run. */
  useRoom(): 'used' | 'refused' | 'done';
}

export interface RoomLimits {
  sandboxMemoryMiB: number;
  sandboxesMax: number;
  startsInFlightMax: number;
}

export class Room {
  readonly clock = new EvictionClock();
  readonly #budget: MemoryBudget;
  readonly #startsInFlightMax: number;
  readonly #line: FairLine<Tenant>;
  readonly #tenants: () => Iterable<Tenant>;
  readonly #blanks: Blanks;
  readonly #time: VirtualTime;
  #startsInFlight = 0;
  /** What the first in the line waits for is memory, not a place to start. */
  #shortOfMemory = false;
  #offering = false;

  constructor(limits: RoomLimits, parts: { time: VirtualTime; blanks: Blanks; tenants: () => Iterable<Tenant> }) {
    this.#budget = new MemoryBudget({ limitMiB: limits.sandboxMemoryMiB, sandboxesMax: limits.sandboxesMax });
    this.#startsInFlightMax = limits.startsInFlightMax;
    this.#time = parts.time;
    this.#line = new FairLine(parts.time);
    this.#blanks = parts.blanks;
    this.#tenants = parts.tenants;
  }

  /** Stands in the line from now on, and is served at once if it is its turn and there is room. */
  ask(tenant: Tenant): void {
    this.#line.join(tenant);
    this.offer();
  }

  forget(tenant: Tenant): void {
    this.#line.leave(tenant);
  }

  /** Serves the line as far as the room goes. Who is first waits for room; nobody passes by, or a large one would wait forever. */
  offer(): void {
    if (this.#offering) return;
    this.#offering = true;
    try {
      for (;;) {
        const next = this.#line.next();
        if (next === undefined) break;
        const outcome = next.useRoom();
        if (outcome === 'refused') break;
        this.#line.leave(next);
        if (outcome === 'used') this.#line.join(next);
      }
    } finally {
      this.#offering = false;
    }
    if (this.#line.size === 0) this.#shortOfMemory = false;
  }

  /** An instance has become idle, and may be given up. */
  offerIfShort(): void {
    if (this.#shortOfMemory) this.offer();
  }

  /** Room for one more instance, whose start then counts until startEnded(). Called from useRoom() alone. */
  reserve(tenant: Tenant): boolean {
    if (this.#startsInFlight >= this.#startsInFlightMax) {
      this.#shortOfMemory = false;
      return false;
    }
    const { memoryMiB } = tenant.version.settings;
    if (!this.#make(tenant, memoryMiB, 1)) return false;
    this.#budget.take(memoryMiB);
    tenant.project.memoryMiB += memoryMiB;
    this.#startsInFlight++;
    this.#time.serve(tenant.project, tenant.habits.coldMs);
    return true;
  }

  startEnded(): void {
    this.#startsInFlight--;
    this.offer();
  }

  /** A sandbox of the tenant is gone that counted with `mib`. */
  release(tenant: Tenant, mib: number): void {
    this.#giveBack(tenant, mib);
    this.offer();
  }

  /** A stopped instance is to run: it counts with its limit from now on, if there is room. */
  grow(tenant: Tenant, instance: Instance): boolean {
    const { memoryMiB } = tenant.version.settings;
    const more = memoryMiB - instance.accounts.countedMiB;
    if (more <= 0) return true;
    if (!this.#make(tenant, more, 0, instance)) return false;
    this.#change(tenant, instance, memoryMiB);
    return true;
  }

  /** The same, without giving up anybody for it. */
  growIfFree(tenant: Tenant, instance: Instance): boolean {
    const { memoryMiB } = tenant.version.settings;
    if (!this.#free(memoryMiB - instance.accounts.countedMiB, 0)) return false;
    this.#change(tenant, instance, memoryMiB);
    return true;
  }

  /** An instance was stopped and can neither work nor grow: it counts with what it holds. */
  shrink(tenant: Tenant, instance: Instance): void {
    const { memoryMiB } = tenant.version.settings;
    if (instance.accounts.countedMiB < memoryMiB) return;
    const mib = heldMiB(memoryMiB, instance.sandbox.memoryBytes() ?? instance.peakMemoryBytes);
    tenant.habits.held(mib);
    if (mib >= memoryMiB) return;
    this.#change(tenant, instance, mib);
    if (this.#shortOfMemory) this.offer();
  }

  /** Only what is left over: a blank never costs an instance its place. */
  fitsBlank(mib: number): boolean {
    return this.#free(mib, 1);
  }

  /** An instance that has just ended a call is to be given up rather than given the next: somebody who holds less waits for memory. */
  wantsBack(tenant: Tenant): boolean {
    if (!this.#shortOfMemory) return false;
    const next = this.#line.next();
    if (next === undefined || next === tenant) return false;
    const need = next.version.settings.memoryMiB;
    if (next.project === tenant.project) return next.instances.size === 0 && tenant.instances.size > 1;
    return next.project.memoryMiB + need <= tenant.project.memoryMiB - tenant.version.settings.memoryMiB;
  }

  #free(mib: number, sandboxes: number): boolean {
    const { usedMiB, limitMiB, count, countMax } = this.#budget;
    return usedMiB + this.#blanks.memoryMiB + mib <= limitMiB && count + this.#blanks.count + sandboxes <= countMax;
  }

  /** A killed sandbox's room counts as free at once. Blanks go first: nobody has used them yet. */
  #make(tenant: Tenant, mib: number, sandboxes: number, spared?: Instance): boolean {
    while (!this.#free(mib, sandboxes)) {
      if (this.#blanks.shed() || this.#evictFor(tenant, spared)) continue;
      this.#shortOfMemory = true;
      return false;
    }
    return true;
  }

  /** The least worth of the asker's own project and of those that hold more than it; of any other only when there is none. */
  #evictFor(asking: Tenant, spared: Instance | undefined): boolean {
    let best: { tenant: Tenant; instance: Instance; worth: number; near: boolean } | undefined;
    for (const tenant of this.#tenants()) {
      const near = tenant.project === asking.project || tenant.project.memoryMiB > asking.project.memoryMiB;
      if (best?.near === true && !near) continue;
      const { frequency, coldMs } = tenant.habits;
      for (const instance of tenant.idle()) {
        if (instance === spared) continue;
        const worth = this.clock.worth({
          usedAtClock: instance.accounts.usedAtClock,
          frequency,
          coldMs,
          heldMiB: instance.accounts.countedMiB,
        });
        if (best === undefined || (near && !best.near) || worth < best.worth) best = { tenant, instance, worth, near };
      }
    }
    if (best === undefined) return false;
    this.clock.gaveUp(best.worth);
    best.tenant.evict(best.instance);
    this.#giveBack(best.tenant, best.instance.accounts.countedMiB);
    return true;
  }

  #giveBack(tenant: Tenant, mib: number): void {
    this.#budget.give(mib);
    tenant.project.memoryMiB -= mib;
  }

  #change(tenant: Tenant, instance: Instance, to: number): void {
    this.#budget.change(instance.accounts.countedMiB, to);
    tenant.project.memoryMiB += to - instance.accounts.countedMiB;
    instance.accounts.countedMiB = to;
  }
}
