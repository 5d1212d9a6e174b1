// The instances of one version and the calls that wait for them. A call takes the instance that was idle last (so that the
// others can grow old and go), else waits; a slot that frees takes the call that has waited longest; the start-or-wait rule
// decides on more instances.
// Invariant: a call that waits is run, failed, or abandoned within the limits of waiting-calls.ts; instances never
// exceed settings.instances.max; nothing runs that the gate and the room have not let in. Owned by engine.ts.
import type { VirgaError } from '../protocol/errors.ts';
import type { Call } from './call.ts';
import { CallMeter } from './call-meter.ts';
import { logTextOf, stoppingError } from './failures.ts';
import type { ProjectLoad } from './fair-share.ts';
import { FreeInstances } from './free-instances.ts';
import type { Habits } from './habits.ts';
import type { Instance, InstanceEvents } from './instance.ts';
import { Minimum } from './minimum.ts';
import type { PoolHost } from './pool-host.ts';
import { slotsOf, statsOf } from './pool-stats.ts';
import type { PoolStats, WaitingStats } from './pool-stats.ts';
import { demandMax, usefulInstances } from './processor-use.ts';
import type { Tenant } from './room.ts';
import type { Runner } from './run-gate.ts';
import { instancesToStart } from './start-rule.ts';
import { Starts } from './starts.ts';
import type { DeployedVersion } from './version.ts';
import { WaitingCalls } from './waiting-calls.ts';

/** Idle for this long, an instance is stopped. Sooner, one that is called every second would be stopped each time. */
const FREEZE_AFTER_MS = 2_000;

export class VersionPool implements Runner, Tenant {
  /** As the source of log lines that no instance wrote. */
  readonly id = '';
  readonly version: DeployedVersion;
  readonly project: ProjectLoad;
  readonly habits: Habits;
  readonly instances = new Set<Instance>();
  readonly starts: Starts;
  /** Calls that run, the processors that one of them keeps busy and that all may, and what one takes, ms: measured now and then. */
  running = 0;
  demand: number;
  demandMax: number;
  #msPerCall: number;
  /** Of those that run, the ones that count with the demand. */
  #counted = 0;
  readonly #free = new FreeInstances();
  readonly #waiting: WaitingCalls;
  /** What the last call that could not run at once was refused for. */
  #lacks: 'instance' | 'turn' | 'room' = 'instance';
  readonly #host: PoolHost;
  readonly #minimum: Minimum;
  #recheck: NodeJS.Timeout | undefined;
  #retiring = false;
  readonly #meter: CallMeter;

  constructor(version: DeployedVersion, parts: { project: ProjectLoad; habits: Habits }, host: PoolHost) {
    this.version = version;
    this.project = parts.project;
    this.habits = parts.habits;
    this.#host = host;
    this.#minimum = new Minimum(version.settings.instances);
    this.#waiting = new WaitingCalls(this, host);
    this.#meter = new CallMeter({ ...parts, time: host.time });
    this.demand = this.demandMax = this.#msPerCall = 0;
    this.#readUse();
    const events: InstanceEvents = {
      slotFree: (instance) => this.#onSlotFree(instance),
      callEnded: (instance, call) => this.#onCallEnded(instance, call),
      log: host.log,
      upgraded: (call) => this.#onUpgraded(call),
      dead: (instance) => this.#onDead(instance),
    };
    this.starts = new Starts({
      start: (onSandbox) => host.start(version, events, onSandbox),
      registered: (instance) => void this.instances.add(instance),
      live: (instance, tookMs) => this.#onLive(instance, tookMs),
      failed: (failure, instance, again) => this.#onStartFailed(failure, instance, again),
      resume: () => {
        this.ensureMin();
        this.#startMore();
      },
    });
  }

  /** Runs the call at once, or queues it, or refuses it with the returned error. */
  accept(call: Call): VirgaError | undefined {
    const { habits } = this;
    habits.frequency++;
    if (this.running === 0) habits.wokeUp(call.acceptedAt);
    if (this.#waiting.size === 0) {
      const instance = this.#place();
      if (instance !== undefined) {
        instance.run(call);
        return undefined;
      }
    }
    const refused = this.#waiting.join(call, this.#unfilledSlots());
    if (refused !== undefined) return refused;
    if (this.#free.size > 0) this.#waitForPlace();
    this.#startMore();
    return undefined;
  }

  /** Keeps the minimum alive; called when the version becomes current and when an instance dies. */
  ensureMin(): void {
    if (this.#wanted() > 0) this.#host.room.ask(this);
  }

  /** The version is not current any more: finish what is accepted, then go. */
  retire(): void {
    this.#retiring = true;
    if (this.#waiting.size === 0) this.#retireInstances();
    this.#reportEmpty();
  }

  revive(): void {
    this.#retiring = false;
    this.ensureMin();
  }

  /** Starts an instance for a call that is expected, unless there is one, and keeps one until `until` (performance.now()). */
  warmUp(until: number): void {
    this.#minimum.expect(until);
    this.ensureMin();
  }

  /** What is due: the minimum of the hour, instances that were idle for long enough to be stopped, or to go. */
  sweep(now: number, unixMs: number): void {
    if (this.#minimum.look(unixMs)) this.ensureMin();
    if (this.#free.size === 0) return;
    const { idleMs, memoryMiB } = this.version.settings;
    const { keepMs } = this.habits.keepAlive(idleMs, memoryMiB);
    const keep = this.#retiring ? 0 : this.#minimum.at(now);
    for (const instance of [...this.#free]) {
      if (!instance.atRest(now)) continue;
      const idleForMs = now - instance.idleSince;
      if (this.instances.size > keep && idleForMs >= (this.#retiring ? 0 : keepMs)) this.#retireInstance(instance);
      else if (idleForMs >= FREEZE_AFTER_MS) this.#freeze(instance);
    }
  }

  /** What the calls took of the processors since the last time. */
  measure(now: number): void {
    this.#meter.look(now, this.instances, this.#host.load.crowding);
    this.#readUse();
  }

  *idle(): Iterable<Instance> {
    const now = performance.now();
    if (this.instances.size <= (this.#retiring ? 0 : this.#minimum.at(now))) return;
    for (const instance of this.#free) if (instance.atRest(now)) yield instance;
  }

  evict(instance: Instance): void {
    this.#free.remove(instance);
    // Its room counts as given back from now on: the kill is under way.
    this.instances.delete(instance);
    instance.kill();
  }

  /** See Tenant: a waiting call goes to a stopped instance sooner than to a new one. */
  useRoom(): 'used' | 'refused' | 'done' {
    if (this.#waiting.size > 0 && this.#free.size > 0) {
      if (this.#runNext()) return 'used';
      if (this.#lacks === 'room') return 'refused';
      if (this.#lacks === 'turn') this.#host.gate.wait(this);
    }
    return this.#startOne();
  }

  /** See Runner. */
  runOne(): boolean {
    if (this.#waiting.size === 0) return false;
    if (this.#runNext()) return this.#waiting.size > 0 && this.#free.size > 0;
    if (this.#lacks === 'room') this.#host.room.ask(this);
    return false;
  }

  endedWaiting(call: Call): void {
    this.#host.callEnded(undefined, call);
    if (this.#waiting.size > 0) return;
    // It may have been first in the line for room.
    this.#host.room.offer();
    this.#reportEmpty();
  }

  get waits(): WaitingStats {
    return { calls: this.#waiting.size, full: this.#free.size === 0 && this.instances.size >= this.version.settings.instances.max };
  }

  stats(): PoolStats {
    return statsOf(this.instances, { starting: this.starts.underWay, queued: this.#waiting.size });
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    clearTimeout(this.#recheck);
    this.starts.close();
    this.#retiring = true;
    this.#waiting.failAll(stoppingError());
    this.#reportEmpty();
    for (const instance of this.instances) instance.kill(stoppingError());
    await Promise.all([...this.instances].map((instance) => instance.sandbox.exited));
  }

  #unfilledSlots(): number {
    const { concurrency, instances } = this.version.settings;
    const room = Math.max(0, instances.max - this.instances.size - this.starts.unregistered);
    return (this.starts.underWay + room) * concurrency;
  }

  /** An instance for one call, which is counted as running: whoever gets it runs a call on it. */
  #place(): Instance | undefined {
    const instance = this.#free.top;
    if (instance === undefined) this.#lacks = 'instance';
    else if (this.#enter(instance)) {
      if (instance.freeSlots === 1) this.#free.remove(instance);
      return instance;
    }
    return undefined;
  }

  /** The gate, and the room if the instance was stopped, let one more call in. */
  #enter(instance: Instance): boolean {
    const { gate, room } = this.#host;
    if (!gate.enter(this, this.demand, this.#msPerCall)) {
      this.#lacks = 'turn';
      return false;
    }
    if (instance.accounts.countedMiB < this.version.settings.memoryMiB && !room.grow(this, instance)) {
      this.#lacks = 'room';
      gate.leave(this.project, this.demand);
      return false;
    }
    this.running++;
    this.#counted++;
    this.#meter.began(this.#msPerCall);
    return true;
  }

  #runNext(): boolean {
    const instance = this.#place();
    if (instance === undefined) return false;
    instance.run(this.#waiting.take(performance.now())!);
    return true;
  }

  /** There is a call and an idle instance, and the one did not get the other: what lacked says when to try again. */
  #waitForPlace(): void {
    if (this.#lacks === 'room') this.#host.room.ask(this);
    else this.#host.gate.wait(this);
  }

  #onSlotFree(instance: Instance): void {
    if (instance.state !== 'live') return;
    const { gate, room } = this.#host;
    if (this.running === 0) this.habits.quietSince = instance.idleSince;
    instance.accounts.usedAtClock = room.clock.now;
    if (this.#waiting.size > 0 && !gate.othersFirst(this)) {
      const yields = instance.calls.size === 0 && room.wantsBack(this);
      while (!yields && instance.freeSlots > 0 && this.#waiting.size > 0 && this.#enter(instance)) {
        instance.run(this.#waiting.take(performance.now())!);
      }
    }
    if (instance.freeSlots > 0) {
      this.#free.push(instance);
      if (this.#waiting.size > 0) this.#waitForPlace();
    }
    room.offerIfShort();
    gate.letIn();
    if (this.#retiring && this.#waiting.size === 0) this.#retireInstances();
  }

  #onCallEnded(instance: Instance, call: Call): void {
    const now = performance.now();
    this.running--;
    if (!call.resting) this.#counted--;
    this.#host.gate.leave(this.project, call.resting ? 0 : this.demand);
    this.#meter.ended(call.runningAt, now);
    if (call.outcome === 'ok' && !call.upgraded) this.habits.served(now - call.runningAt);
    this.#host.callEnded(instance, call);
    // No slot frees with it, but others may run.
    if (instance.state !== 'live') queueMicrotask(() => this.#host.gate.letIn());
  }

  #onUpgraded(call: Call): void {
    call.resting = true;
    this.#counted--;
    this.#host.gate.rest(this.project, this.demand);
    this.#host.gate.letIn();
  }

  #onDead(instance: Instance): void {
    this.#free.remove(instance);
    if (this.instances.delete(instance)) this.#host.room.release(this, instance.accounts.countedMiB);
    this.ensureMin();
    this.#startMore();
    this.#reportEmpty();
  }

  /** Instances that it would start now, if there were room. */
  #wanted(): number {
    if (this.starts.blocked) return 0;
    const { concurrency, instances } = this.version.settings;
    const present = this.instances.size + this.starts.unregistered;
    const now = performance.now();
    const missing = this.#retiring || this.starts.paused ? 0 : Math.max(0, this.#minimum.at(now) - present);
    const oldest = this.#waiting.oldest;
    if (oldest === undefined) return missing;
    const { slots, free } = slotsOf(this.instances, concurrency);
    const { use, serviceMs, coldMs } = this.habits;
    const useful = usefulInstances(use, { processors: this.#host.processors, serviceMs, concurrency });
    const queued = instancesToStart({
      queued: this.#waiting.size,
      slots,
      freeSlots: free,
      starting: this.starts.underWay,
      concurrency,
      serviceMs,
      startMs: coldMs,
      oldestWaitMs: now - oldest.acceptedAt,
      allowed: Math.max(0, Math.min(instances.max, slots + this.starts.underWay === 0 ? instances.max : useful) - present),
    });
    return Math.max(missing, queued);
  }

  #startMore(): void {
    if (this.#waiting.size === 0 || this.starts.blocked) return;
    if (this.#wanted() > 0) this.#host.room.ask(this);
    // Waiting was judged cheaper, or there is no room: judge again when a start would have been done.
    if (this.#recheck === undefined && this.#waiting.size > 0) {
      this.#recheck = setTimeout(
        () => {
          this.#recheck = undefined;
          if (!this.habits.use.known) this.measure(performance.now());
          this.#startMore();
        },
        Math.max(5, this.habits.coldMs),
      );
    }
  }

  #startOne(): 'used' | 'refused' | 'done' {
    if (this.#wanted() === 0) return 'done';
    if (!this.#host.room.reserve(this)) return 'refused';
    void this.starts.begin(() => this.#waiting.oldest?.acceptedAt);
    return 'used';
  }

  #onLive(live: Instance, tookMs: number): void {
    this.habits.started(tookMs, live.cold.initMs);
    live.accounts.processorMs = live.sandbox.processorMs() ?? 0;
    for (const call of this.#waiting.first(this.version.settings.concurrency)) call.cold = live.cold;
    this.#onSlotFree(live);
  }

  #onStartFailed(failure: VirgaError, instance: Instance | undefined, again: boolean): void {
    if (instance === undefined) this.#host.room.release(this, this.version.settings.memoryMiB);
    else instance.kill(failure);
    if (again) return;
    this.#host.log(this, undefined, 'error', logTextOf(failure));
    const others = this.starts.underWay > 0 || [...this.instances].some((other) => other.state === 'live');
    const count = others ? this.version.settings.concurrency : this.#waiting.size;
    for (const call of this.#waiting.first(count)) this.#waiting.fail(call, failure);
    this.#startMore();
    this.#reportEmpty();
  }

  #freeze(instance: Instance): void {
    instance.rest.freeze();
    if (instance.rest.frozen) this.#host.room.shrink(this, instance);
  }

  /** The calls that run count with it at once, and what it leaves room for begins. */
  #readUse(): void {
    const { use, serviceMs } = this.habits;
    const more = this.#counted * (use.demand - this.demand);
    if (more !== 0) this.#host.gate.correct(this.project, more);
    this.demand = use.demand;
    this.#msPerCall = use.msPerCall;
    this.demandMax = demandMax(this.#host.processors, serviceMs);
    if (more < 0) this.#host.gate.letIn();
  }

  #retireInstances(): void {
    for (const instance of [...this.instances]) if (instance.state === 'live') this.#retireInstance(instance);
  }

  #retireInstance(instance: Instance): void {
    this.#free.remove(instance);
    // To run its exit hooks it would need its memory; without room for that it goes without.
    if (this.#host.room.growIfFree(this, instance)) instance.retire();
    else instance.kill();
  }

  #reportEmpty(): void {
    const windows = this.#minimum.hasWindows && !this.#retiring;
    if (this.instances.size === 0 && this.starts.underWay === 0 && this.#waiting.size === 0 && !windows) this.#host.empty();
  }
}
