// The calls of one version that wait for an instance: who may join, how long each waits, and what becomes of them when more
// comes than can be served.
// Invariant: a call that waits is handed out, failed, or abandoned: within the version's timeout where it waits for a busy
// instance, within the limits of a start where it waits for one, whose time is the platform's and not the function's; at most
// settings.queue wait beside those that instances being started will take; what admission.ts counted for a call is given back
// when it leaves.
// Owned by version-pool.ts.
import type { VirgaError } from '../protocol/errors.ts';
import type { Admission } from './admission.ts';
import type { Call } from './call.ts';
import { CallQueue } from './call-queue.ts';
import type { ProjectLoad } from './fair-share.ts';
import { floodedError, noInstanceError, overloadError, waitedTooLongError } from './failures.ts';
import type { Habits } from './habits.ts';
import type { Instance } from './instance.ts';
import { QueueControl } from './queue-control.ts';
import type { Starts } from './starts.ts';
import type { DeployedVersion } from './version.ts';

export interface WaitingHost {
  readonly version: DeployedVersion;
  readonly project: ProjectLoad;
  readonly habits: Habits;
  readonly instances: ReadonlySet<Instance>;
  readonly starts: Pick<Starts, 'underWay' | 'blocked'>;
  /** A call that waited has ended without having run. */
  endedWaiting(call: Call): void;
}

/** What a start may take: the runtime's boot, and the loading of the code. */
export interface StartLimits {
  bootTimeoutMs: number;
  loadTimeoutMs: number;
}

/** A call that waits beyond its version's timeout is looked at again this often. */
const LOOK_AGAIN_MS = 250;
/** Instances that are being started excuse a queue that stands, but not for longer. */
const SCALE_UP_MS = 1_000;

export class WaitingCalls {
  readonly #host: WaitingHost;
  readonly #admission: Admission;
  readonly #queue = new CallQueue();
  readonly #control = new QueueControl();
  readonly #startLimits: StartLimits;
  /** Those that wait beyond the version's timeout for instances that are being started: at most as many as these will take. */
  readonly #overdue = new Set<Call>();
  /** Somebody waits since then. */
  #since = 0;

  constructor(host: WaitingHost, parts: { admission: Admission; limits: StartLimits }) {
    this.#host = host;
    this.#admission = parts.admission;
    this.#startLimits = parts.limits;
  }

  get size(): number {
    return this.#queue.size;
  }

  /** Who has waited longest. */
  get oldest(): Call | undefined {
    return this.#queue.oldest;
  }

  first(count: number): Call[] {
    return this.#queue.first(count);
  }

  /** The call waits from now on, unless it is refused with the returned error. `unfilled`: calls that will not wait for another's slot. */
  join(call: Call, unfilled: number): VirgaError | undefined {
    const { version, project } = this.#host;
    const control = this.#control;
    control.arrived();
    this.#look(call.acceptedAt);
    const { size } = this.#queue;
    const retryAfterS = control.retryAfterS(size);
    if (control.overloaded) {
      this.#giveUpLate(call.acceptedAt, retryAfterS);
      if (this.#queue.fresh >= control.roomWhileOverloaded) return floodedError(version, retryAfterS);
    }
    if (size >= version.settings.queue + unfilled) return overloadError(version, retryAfterS);
    const refused = this.#admission.join(version, project, call.heldBytes, { bytes: this.#queue.bytes, retryAfterS });
    if (refused !== undefined) return refused;
    this.#queue.push(call);
    call.leaveQueue = () => this.#end(call);
    call.timer = setTimeout(() => this.#onWaitedLong(call), version.settings.timeoutMs);
    return undefined;
  }

  /** Hands out who is next. */
  take(now: number): Call | undefined {
    const call = this.#queue.shift();
    if (call === undefined) return undefined;
    this.#left(call);
    this.#control.served(this.#queue.size);
    if (this.#queue.size > 0) this.#look(now);
    return call;
  }

  /** Ends a call that waits with an error; one that does not wait any more is left alone. */
  fail(call: Call, error: VirgaError): void {
    if (call.state !== 'queued') return;
    this.#end(call);
    call.outcome = error.code;
    call.errorMessage = error.message;
    call.explanation = error.explanation;
    if (!call.abandoned) {
      call.status = error.status;
      call.request.sink.failed(error, false);
    }
  }

  failAll(error: VirgaError): void {
    for (const call of this.#queue.first(this.#queue.size)) this.fail(call, error);
  }

  #look(now: number): void {
    if (this.#queue.size === 0) this.#since = now;
    const { starts, instances } = this.#host;
    // What the instances that there are serve is what there is.
    const settled = starts.underWay === 0 && instances.size > 0;
    const ready = settled || now - this.#since > SCALE_UP_MS;
    const times = { serviceMs: this.#host.habits.serviceMs, timeoutMs: this.#host.version.settings.timeoutMs };
    const began = this.#control.look(now, this.#queue.size, times, ready);
    this.#queue.newestFirst = this.#control.overloaded;
    if (began) this.#queue.allLate();
  }

  #giveUpLate(now: number, retryAfterS: number): void {
    for (;;) {
      const call = this.#queue.oldestLate;
      if (call === undefined || now - call.acceptedAt <= this.#control.lateMsMax) return;
      this.fail(call, floodedError(this.#host.version, retryAfterS));
    }
  }

  /** Its version's timeout has passed, which is how long it waits for a busy instance. */
  #onWaitedLong(call: Call): void {
    const { version, starts } = this.#host;
    const waitedMs = performance.now() - call.acceptedAt;
    this.#overdue.delete(call);
    const retryAfterS = this.#control.retryAfterS(this.#queue.size);
    // One that is tried again for want of a launcher tells all of them how that ends.
    const coming = starts.blocked ? Infinity : starts.underWay * version.settings.concurrency;
    const willGetOne = coming > this.#overdue.size;
    const live = this.#live();
    if (waitedMs < this.#waitMsMax({ willGetOne, live })) {
      if (willGetOne) this.#overdue.add(call);
      call.timer = setTimeout(() => this.#onWaitedLong(call), LOOK_AGAIN_MS);
    } else if (live) this.fail(call, waitedTooLongError(version, waitedMs, retryAfterS));
    else this.fail(call, noInstanceError(version, waitedMs, { starting: willGetOne, retryAfterS }));
  }

  /** A start that is under way ends sooner, unless the launcher itself is stuck; where none begins for so long the node has no room. */
  #waitMsMax({ willGetOne, live }: { willGetOne: boolean; live: boolean }): number {
    const { bootTimeoutMs, loadTimeoutMs } = this.#startLimits;
    if (willGetOne) return this.#host.version.settings.timeoutMs + bootTimeoutMs + loadTimeoutMs;
    return live ? 0 : bootTimeoutMs;
  }

  /** Some instance takes calls: it is busy. */
  #live(): boolean {
    for (const { state } of this.#host.instances) if (state === 'live') return true;
    return false;
  }

  /** It waits no more: it runs, or it has ended. */
  #left(call: Call): void {
    clearTimeout(call.timer);
    this.#overdue.delete(call);
    call.leaveQueue = undefined;
    this.#admission.leave(this.#host.project, call.heldBytes);
  }

  /** Takes a call out of the queue; it ends here. */
  #end(call: Call): void {
    if (!this.#queue.remove(call)) return;
    this.#left(call);
    call.state = 'ended';
    if (call.abandoned) call.outcome = 'client_closed_request';
    // The sink hears of it after this, so the record is made when the caller has set the outcome.
    queueMicrotask(() => this.#host.endedWaiting(call));
  }
}
