// The pull queue and the instances of one version. A call takes the instance that was idle last (so that the others can
// grow old and go), else waits; a slot that frees takes the call that has waited longest; the start-or-wait rule decides
// on more instances.
// Invariant: a queued call is started, failed, or abandoned within the version's timeout; the queue never holds more than
// settings.queue calls; instances never exceed settings.instances.max. Owned by engine.ts, which grants the node's memory.
import { VirgaError } from '../protocol/errors.ts';
import type { Call } from './call.ts';
import { overloadError, waitedTooLongError } from './failures.ts';
import type { Instance } from './instance.ts';
import type { InstanceEvents } from './instance.ts';
import { instancesToStart } from './start-rule.ts';
import type { DeployedVersion } from './version.ts';

/** What the pool needs from the engine. */
export interface PoolHost {
  /** Room for one more sandbox of this size, made by retiring idle ones elsewhere if need be. */
  reserve(pool: VersionPool): boolean;
  release(pool: VersionPool): void;
  /** Starts a sandbox and loads the code; the returned instance is live. */
  start(version: DeployedVersion, events: InstanceEvents, onSandbox: (instance: Instance) => void): Promise<Instance>;
  callEnded(instance: Instance | undefined, call: Call): void;
  log: InstanceEvents['log'];
  /** The pool has neither instances nor calls any more. */
  empty(pool: VersionPool): void;
}

/** While the launcher is being restarted, starts are tried again this often and this long. */
const START_RETRY_MS = 100;
const START_RETRY_MAX_MS = 5_000;
/** Longest wait between two tries to keep instances.min alive when the code does not load. */
const MIN_RETRY_MS_MAX = 30_000;
const AVERAGE_WEIGHT = 0.2;
/** Idle for this long, an instance is stopped. Sooner, one that is called every second would be stopped each time. */
const FREEZE_AFTER_MS = 2_000;

export class VersionPool {
  /** As the source of log lines that no instance wrote. */
  readonly id = '';
  readonly version: DeployedVersion;
  readonly instances = new Set<Instance>();
  /** Live instances with a free slot; the last one became free last. */
  readonly #free: Instance[] = [];
  readonly #queue: Call[] = [];
  readonly #host: PoolHost;
  readonly #events: InstanceEvents;
  #starting = 0;
  #serviceMs = 5;
  #startMs = 30;
  #recheck: NodeJS.Timeout | undefined;
  /** No start is tried until this fires: the last one failed for want of a launcher. */
  #blocked: NodeJS.Timeout | undefined;
  #retiring = false;

  constructor(version: DeployedVersion, host: PoolHost) {
    this.version = version;
    this.#host = host;
    this.#events = {
      slotFree: (instance) => this.#onSlotFree(instance),
      callEnded: (instance, call) => this.#onCallEnded(instance, call),
      log: host.log,
      dead: (instance) => this.#onDead(instance),
    };
  }

  get starting(): number {
    return this.#starting;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Runs the call at once, or queues it, or refuses it with the returned error. */
  accept(call: Call): VirgaError | undefined {
    const instance = this.#takeFree();
    if (instance !== undefined) {
      instance.run(call);
      return undefined;
    }
    const { settings } = this.version;
    // Calls that an instance being started will take do not count as waiting.
    if (this.#queue.length >= settings.queue + this.#unfilledSlots()) return overloadError(this.version);
    this.#queue.push(call);
    call.leaveQueue = () => this.#leaveQueue(call);
    call.timer = setTimeout(() => this.#onWaitedTooLong(call), settings.timeoutMs);
    this.#startMore();
    return undefined;
  }

  /** Keeps instances.min alive; called when the version becomes current and when an instance dies. */
  ensureMin(): void {
    if (this.#retiring || this.#minDelay !== undefined) return;
    while (this.instances.size + this.#unregistered < this.version.settings.instances.min && this.#startOne()) {
      // #startOne counts what it starts.
    }
  }

  /** The version is not current any more: finish what is accepted, then go. */
  retire(): void {
    this.#retiring = true;
    if (this.#queue.length === 0) this.#retireInstances();
    this.#reportEmpty();
  }

  revive(): void {
    this.#retiring = false;
    this.ensureMin();
  }

  /** Retires instances that have been idle for longer than the version keeps them. */
  expireIdle(now: number): void {
    const { idleMs, instances } = this.version.settings;
    const keep = this.#retiring ? 0 : instances.min;
    for (const instance of [...this.#free]) {
      if (this.instances.size <= keep) return;
      if (instance.atRest(now) && now - instance.idleSince >= idleMs) this.#retireInstance(instance);
    }
  }

  /** Stops instances that have been at rest for a while: they use no processor, and cannot grow. */
  freezeIdle(now: number): void {
    for (const instance of this.#free) {
      if (!instance.rest.frozen && instance.atRest(now) && now - instance.idleSince >= FREEZE_AFTER_MS) instance.rest.freeze();
    }
  }

  /** The idle instance that could go to make room, oldest first; none if the version wants to keep it. */
  oldestIdle(): Instance | undefined {
    if (this.instances.size <= this.version.settings.instances.min) return undefined;
    let oldest: Instance | undefined;
    for (const instance of this.#free) {
      if (instance.calls.size === 0 && (oldest === undefined || instance.idleSince < oldest.idleSince)) oldest = instance;
    }
    return oldest;
  }

  evict(instance: Instance): void {
    this.#removeFree(instance);
    // Its room counts as given back from now on: the kill is under way.
    this.instances.delete(instance);
    instance.kill();
  }

  /** Room has become free on the node. */
  roomFreed(): void {
    if (this.#queue.length > 0) this.#startMore();
  }

  stats(): { starting: number; idle: number; busy: number; draining: number; queued: number; inFlight: number } {
    const count = { starting: this.#starting, idle: 0, busy: 0, draining: 0, queued: this.#queue.length, inFlight: 0 };
    for (const instance of this.instances) {
      count.inFlight += instance.calls.size;
      if (instance.state === 'draining') count.draining++;
      else if (instance.state === 'live' && instance.calls.size === 0) count.idle++;
      else if (instance.state === 'live') count.busy++;
    }
    return count;
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    clearTimeout(this.#recheck);
    clearTimeout(this.#blocked);
    clearTimeout(this.#minDelay);
    this.#retiring = true;
    for (const call of [...this.#queue]) this.#failQueued(call, new VirgaError('unavailable', 'Virga is stopping; try again in a moment'));
    await Promise.all([...this.instances].map((instance) => instance.sandbox.kill()));
  }

  /** Starts whose sandbox does not exist yet. */
  #unregistered = 0;
  /** Starts that failed in a row, and the wait before instances.min is tried again. */
  #failures = 0;
  #minDelay: NodeJS.Timeout | undefined;

  #unfilledSlots(): number {
    const { concurrency, instances } = this.version.settings;
    const room = Math.max(0, instances.max - this.instances.size - this.#unregistered);
    return (this.#starting + room) * concurrency;
  }

  #takeFree(): Instance | undefined {
    for (;;) {
      const instance = this.#free.at(-1);
      if (instance === undefined) return undefined;
      const slots = instance.freeSlots;
      if (slots <= 1) this.#free.pop();
      if (slots > 0) return instance;
    }
  }

  #removeFree(instance: Instance): void {
    const at = this.#free.indexOf(instance);
    if (at >= 0) this.#free.splice(at, 1);
  }

  #onSlotFree(instance: Instance): void {
    if (instance.state !== 'live') return;
    while (instance.freeSlots > 0) {
      const call = this.#queue.shift();
      if (call === undefined) break;
      clearTimeout(call.timer);
      instance.run(call);
    }
    if (instance.freeSlots > 0 && !this.#free.includes(instance)) this.#free.push(instance);
    if (this.#retiring && this.#queue.length === 0) this.#retireInstances();
  }

  #onCallEnded(instance: Instance, call: Call): void {
    if (call.outcome === 'ok') {
      const serviceMs = performance.now() - call.runningAt;
      this.#serviceMs += AVERAGE_WEIGHT * (serviceMs - this.#serviceMs);
    }
    this.#host.callEnded(instance, call);
  }

  #onDead(instance: Instance): void {
    this.#removeFree(instance);
    if (this.instances.delete(instance)) this.#host.release(this);
    this.ensureMin();
    this.#startMore();
    this.#reportEmpty();
  }

  #startMore(): void {
    if (this.#queue.length === 0 || this.#blocked !== undefined) return;
    const { concurrency, instances } = this.version.settings;
    const now = performance.now();
    let free = 0;
    let slots = 0;
    for (const instance of this.instances) {
      if (instance.state !== 'live') continue;
      free += instance.freeSlots;
      slots += concurrency;
    }
    const oldestWaitMs = now - this.#queue[0]!.acceptedAt;
    let toStart = instancesToStart({
      queued: this.#queue.length,
      slots,
      freeSlots: free,
      starting: this.#starting,
      concurrency,
      serviceMs: this.#serviceMs,
      startMs: this.#startMs,
      oldestWaitMs,
      allowed: Math.max(0, instances.max - this.instances.size - this.#unregistered),
    });
    while (toStart > 0 && this.#startOne()) toStart--;
    // Waiting was judged cheaper, or there is no room: judge again when a start would have been done.
    if (this.#recheck === undefined && this.#queue.length > 0) {
      this.#recheck = setTimeout(
        () => {
          this.#recheck = undefined;
          this.#startMore();
        },
        Math.max(5, this.#startMs),
      );
    }
  }

  #startOne(): boolean {
    if (!this.#host.reserve(this)) return false;
    this.#starting++;
    this.#unregistered++;
    void this.#start();
    return true;
  }

  async #start(): Promise<void> {
    const startedAt = performance.now();
    let instance: Instance | undefined;
    try {
      const live = await this.#host.start(this.version, this.#events, (made) => {
        instance = made;
        this.#unregistered--;
        this.instances.add(made);
      });
      this.#starting--;
      this.#failures = 0;
      this.#startMs += AVERAGE_WEIGHT * (performance.now() - startedAt - this.#startMs);
      for (const call of this.#queue.slice(0, this.version.settings.concurrency)) call.cold = live.cold;
      this.#onSlotFree(live);
    } catch (error) {
      this.#starting--;
      this.#delayMin();
      const failure =
        error instanceof VirgaError ? error : new VirgaError('internal', `starting failed: ${String(error)}`, { cause: error });
      if (instance === undefined) {
        this.#unregistered--;
        this.#host.release(this);
      } else instance.kill(failure);
      this.#onStartFailed(failure);
    }
  }

  /** Code that does not load must not be loaded in a tight loop for the sake of instances.min. */
  #delayMin(): void {
    this.#failures++;
    if (this.version.settings.instances.min === 0 || this.#retiring) return;
    clearTimeout(this.#minDelay);
    this.#minDelay = setTimeout(
      () => {
        this.#minDelay = undefined;
        this.ensureMin();
      },
      Math.min(MIN_RETRY_MS_MAX, START_RETRY_MS * 2 ** this.#failures),
    );
    this.#minDelay.unref();
  }

  #onStartFailed(failure: VirgaError): void {
    const oldest = this.#queue[0];
    // Nothing is wrong with the code: the launcher is away, or the node is short of something. Try again for a while.
    if (failure.code === 'sandbox_unavailable' && oldest !== undefined && performance.now() - oldest.acceptedAt < START_RETRY_MAX_MS) {
      this.#blocked ??= setTimeout(() => {
        this.#blocked = undefined;
        this.#startMore();
      }, START_RETRY_MS);
      return;
    }
    this.#host.log(this, undefined, 'error', logText(failure));
    const others = this.#starting > 0 || [...this.instances].some((other) => other.state === 'live');
    const count = others ? this.version.settings.concurrency : this.#queue.length;
    for (const call of this.#queue.slice(0, count)) this.#failQueued(call, failure);
    this.#startMore();
    this.#reportEmpty();
  }

  #failQueued(call: Call, error: VirgaError): void {
    if (call.state !== 'queued') return;
    this.#leaveQueue(call);
    call.outcome = error.code;
    call.errorMessage = error.message;
    if (!call.abandoned) {
      call.status = error.status;
      call.request.sink.failed(error, false);
    }
  }

  #onWaitedTooLong(call: Call): void {
    this.#failQueued(call, waitedTooLongError(this.version, performance.now() - call.acceptedAt));
  }

  /** Takes a call out of the queue; it ends here. */
  #leaveQueue(call: Call): void {
    const at = this.#queue.indexOf(call);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    clearTimeout(call.timer);
    call.leaveQueue = undefined;
    call.state = 'ended';
    if (call.abandoned) call.outcome = 'client_closed_request';
    // The sink hears of it after this, so the record is made when the caller has set the outcome.
    queueMicrotask(() => this.#host.callEnded(undefined, call));
  }

  #retireInstances(): void {
    for (const instance of [...this.instances]) if (instance.state === 'live') this.#retireInstance(instance);
  }

  #retireInstance(instance: Instance): void {
    this.#removeFree(instance);
    instance.retire();
  }

  #reportEmpty(): void {
    if (this.instances.size === 0 && this.#starting === 0 && this.#queue.length === 0) this.#host.empty(this);
  }
}

function logText(failure: VirgaError): string {
  const detail = failure.detail as { stack?: string } | undefined;
  return detail?.stack === undefined || detail.stack === '' ? failure.message : `${failure.message}\n${detail.stack}`;
}
