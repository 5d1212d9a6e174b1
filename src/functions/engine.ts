// The engine: there is one invoke, and it is here. It keeps a pool per version, shares the node's memory between them,
// and turns the end of each call into a record.
// Invariant: the memory limits of all instances, and what blanks hold, add up to at most limits.sandboxMemoryMiB; no call waits on a database.
// Callers: the gateway, and the edge's private server for direct invocations; the read model says what is current.
import { availableParallelism } from 'node:os';
import type { LogLevelName } from '../protocol/frames.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { LogLine } from '../protocol/invocation.ts';
import type { FunctionStats } from '../protocol/stats.ts';
import { newId } from '../lib/ids.ts';
import { TokenBucket } from '../lib/token-bucket.ts';
import type { Recorder } from '../observe/recorder.ts';
import type { Sandbox, SandboxExit, Sandboxes, SandboxShape } from '../sandbox/sandbox.ts';
import { BLANK_MIB, Blanks } from './blanks.ts';
import { Call } from './call.ts';
import type { CallRequest } from './call.ts';
import { crashed } from './failures.ts';
import { Instance } from './instance.ts';
import type { InstanceEvents, LogSource } from './instance.ts';
import { recordOf } from './record.ts';
import { nameOf, versionKey } from './version.ts';
import type { DeployedVersion } from './version.ts';
import { VersionPool } from './version-pool.ts';

/** The part of the configuration's limits that the engine reads. */
export interface RuntimeLimits {
  sandboxMemoryMiB: number;
  sandboxesMax: number;
  startsInFlightMax: number;
  blanksMax: number;
  bootTimeoutMs: number;
  loadTimeoutMs: number;
  logBytesPerSecond: number;
}

const IDLE_SWEEP_MS = 250;
/** Blanks that boot at the same time: one processor stays free for those who wait. */
const BLANK_BOOTS_MAX = Math.max(1, availableParallelism() - 1);
/** What a log record costs beside its text, when it is written and kept: an empty one is not free. */
const LOG_RECORD_BYTES = 128;
/** What every function finds in its environment besides its own settings: nothing of the host's. */
const BASE_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC' };

export class Engine {
  readonly #sandboxes: Sandboxes;
  readonly #recorder: Recorder;
  readonly #limits: RuntimeLimits;
  readonly #pools = new Map<string, VersionPool>();
  /** By sandbox id, for what a sandbox writes to its stdout itself. */
  readonly #instances = new Map<string, Instance>();
  #current = new Set<string>();
  readonly blanks: Blanks;
  #sweep: NodeJS.Timeout;
  #memoryMiB = 0;
  #sandboxCount = 0;
  #startsInFlight = 0;
  #inFlight = 0;
  #idle: (() => void) | undefined;

  constructor(options: { sandboxes: Sandboxes; recorder: Recorder; limits: RuntimeLimits }) {
    this.#sandboxes = options.sandboxes;
    this.#recorder = options.recorder;
    this.#limits = options.limits;
    this.#sandboxes.outputTo((id, text, level) => {
      const instance = this.#instances.get(id);
      if (instance !== undefined) this.#onLog(instance, undefined, level, text.trimEnd());
    });
    const { blanksMax, bootTimeoutMs } = options.limits;
    this.blanks = new Blanks(options.sandboxes, { blanksMax, bootTimeoutMs, bootsMax: BLANK_BOOTS_MAX }, () => this.#roomForBlank());
    this.#sweep = setInterval(() => this.#expireIdle(), IDLE_SWEEP_MS);
    this.#sweep.unref();
  }

  /** Calls whose clients still wait. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Runs a call. The answer goes to request.sink; a call that is refused at once is returned as the error and leaves no record. */
  invoke(request: CallRequest): Call | VirgaError {
    const call = new Call(request, performance.now(), Date.now());
    const refused = this.#pool(request.version).accept(call);
    if (refused !== undefined) return refused;
    this.#inFlight++;
    // Nobody waits for it any more: it does not hold up a drain.
    call.onAbandoned = () => this.#oneLess();
    return call;
  }

  /** What is current after a deployment: other versions finish what they have and go. */
  setCurrent(versions: Iterable<DeployedVersion>): void {
    const current = new Set<string>();
    const shapes: SandboxShape[] = [];
    for (const version of versions) {
      shapes.push(shapeOf(version));
      const key = versionKey(version);
      current.add(key);
      if (!this.#current.has(key)) this.#sandboxes.prepare(version.artifact, version.settings.runtime);
      if (version.settings.instances.min > 0) this.#pool(version).ensureMin();
      else if (!this.#current.has(key)) this.#pools.get(key)?.revive();
    }
    this.#current = current;
    this.blanks.setShapes(shapes);
    for (const [key, pool] of this.#pools) if (!current.has(key)) pool.retire();
  }

  /** A call of this version may still be accepted when it is not current (a direct invocation names any version). */
  #pool(version: DeployedVersion): VersionPool {
    const key = versionKey(version);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = new VersionPool(version, {
        reserve: (asking) => this.#reserve(asking),
        release: (leaving) => this.#release(leaving),
        start: (v, events, onSandbox) => this.#start(v, events, onSandbox),
        callEnded: (instance, call) => this.#onCallEnded(instance, call),
        log: (source, call, level, text) => this.#onLog(source, call, level, text),
        empty: (gone) => this.#onPoolEmpty(gone),
      });
      this.#pools.set(key, pool);
    }
    return pool;
  }

  stats(): FunctionStats[] {
    const stats: FunctionStats[] = [];
    for (const pool of this.#pools.values()) {
      const { project, version, settings } = pool.version;
      stats.push({ project, function: pool.version.function, version, runtime: settings.runtime, ...pool.stats() });
    }
    return stats;
  }

  /** Resolves when no call is in flight, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await Promise.all([this.blanks.close(), ...[...this.#pools.values()].map((pool) => pool.close())]);
  }

  #reserve(asking: VersionPool): boolean {
    const { memoryMiB } = asking.version.settings;
    if (this.#startsInFlight >= this.#limits.startsInFlightMax) return false;
    while (!this.#fits(memoryMiB)) {
      // A killed sandbox's room counts as free at once. Blanks go first: nobody has used them yet.
      if (!this.blanks.shed() && !this.#evictOldest()) return false;
    }
    this.#memoryMiB += memoryMiB;
    this.#sandboxCount++;
    return true;
  }

  #fits(memoryMiB: number): boolean {
    const { sandboxMemoryMiB, sandboxesMax } = this.#limits;
    return this.#memoryMiB + this.blanks.memoryMiB + memoryMiB <= sandboxMemoryMiB && this.#sandboxCount + this.blanks.count < sandboxesMax;
  }

  /** Only what is left over: a blank never costs an instance its place. */
  #roomForBlank(): boolean {
    return this.#fits(BLANK_MIB);
  }

  #evictOldest(): boolean {
    let oldest: { pool: VersionPool; instance: Instance } | undefined;
    for (const pool of this.#pools.values()) {
      const instance = pool.oldestIdle();
      if (instance !== undefined && (oldest === undefined || instance.idleSince < oldest.instance.idleSince)) oldest = { pool, instance };
    }
    if (oldest === undefined) return false;
    oldest.pool.evict(oldest.instance);
    this.#giveBack(oldest.pool);
    return true;
  }

  #giveBack(pool: VersionPool): void {
    this.#memoryMiB -= pool.version.settings.memoryMiB;
    this.#sandboxCount--;
  }

  #release(pool: VersionPool): void {
    this.#giveBack(pool);
    this.#roomFreed();
  }

  #roomFreed(): void {
    for (const pool of this.#pools.values()) pool.roomFreed();
  }

  async #start(version: DeployedVersion, events: InstanceEvents, onSandbox: (instance: Instance) => void): Promise<Instance> {
    const { settings } = version;
    const startedAt = performance.now();
    let started: Sandbox | undefined;
    let exit: SandboxExit | undefined;
    this.#startsInFlight++;
    try {
      const { sandbox, booted } = await this.#sandboxFor(version);
      started = sandbox;
      const instance = new Instance(version, sandbox, events);
      this.#instances.set(instance.id, instance);
      void sandbox.exited.then((ended) => {
        exit = ended;
        this.#instances.delete(sandbox.id);
      });
      onSandbox(instance);
      await instance.start(
        {
          project: version.project,
          function: version.function,
          version: version.version,
          codeFolder: sandbox.codeFolder!,
          handler: settings.handler,
          env: { ...BASE_ENVIRONMENT, ...settings.env },
          memoryMiB: settings.memoryMiB,
          timeoutMs: settings.timeoutMs,
          concurrency: settings.concurrency,
          logBytesPerSecond: this.#limits.logBytesPerSecond,
          ...(sandbox.compiledFolder === null ? {} : { compiledFolder: sandbox.compiledFolder }),
        },
        { bootTimeoutMs: this.#limits.bootTimeoutMs, loadTimeoutMs: this.#limits.loadTimeoutMs, startedAt, booted },
      );
      return instance;
    } catch (error) {
      if (started === undefined || started.compiledFolder === null || !crashed(exit)) throw error;
      throw this.#withoutCompiled(version, error);
    } finally {
      this.#startsInFlight--;
      // A pool that was refused for want of a start slot asks again.
      queueMicrotask(() => this.#roomFreed());
    }
  }

  /** A crash while the code was being loaded may be that of its compiled form: the calls are worth a second try without it. */
  #withoutCompiled(version: DeployedVersion, cause: unknown): VirgaError {
    this.#sandboxes.discardCompiled(version.artifact, version.settings.runtime);
    const message = `${nameOf(version)} crashed while it was being loaded; it is started once more without its compiled code`;
    return new VirgaError('sandbox_unavailable', message, { cause });
  }

  /** One that has booted, where there is a blank; else one of its own. */
  async #sandboxFor(version: DeployedVersion): Promise<{ sandbox: Sandbox; booted: boolean }> {
    const shape = shapeOf(version);
    const { project, function: fn, version: number, settings } = version;
    const assignment = { artifact: version.artifact, network: { project, function: fn, version: number, egress: settings.egress } };
    const blank = await this.blanks.take(shape);
    if (blank === undefined) return { sandbox: await this.#sandboxes.start({ ...shape, id: newId('sbx') }, assignment), booted: false };
    try {
      await blank.assign(assignment);
      return { sandbox: blank, booted: true };
    } catch (error) {
      void blank.kill();
      throw error;
    }
  }

  #oneLess(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#idle?.();
  }

  #onCallEnded(instance: Instance | undefined, call: Call): void {
    if (!call.abandoned) this.#oneLess();
    call.record = recordOf(call, instance);
    this.#recorder.invocation(call.record);
  }

  readonly #logBudgets = new WeakMap<LogSource, { bucket: TokenBucket; droppedRecords: number; droppedBytes: number }>();

  #onLog(source: LogSource, call: Call | undefined, level: LogLevelName, text: string): void {
    let budget = this.#logBudgets.get(source);
    const now = performance.now();
    if (budget === undefined) {
      const ratePerS = this.#limits.logBytesPerSecond;
      // Twice what the guest itself keeps to: this one is for guests that do not.
      budget = {
        bucket: new TokenBucket({ ratePerS: 2 * ratePerS, burst: 20 * ratePerS, nowMs: now }),
        droppedRecords: 0,
        droppedBytes: 0,
      };
      this.#logBudgets.set(source, budget);
    }
    if (!budget.bucket.take(text.length + LOG_RECORD_BYTES, now)) {
      budget.droppedRecords++;
      budget.droppedBytes += text.length;
      return;
    }
    if (budget.droppedRecords > 0) {
      const dropped = `${budget.droppedRecords} log records (${budget.droppedBytes} bytes) dropped: over the limit of ${this.#limits.logBytesPerSecond} bytes/s (VIRGA_LIMIT_LOG_BYTES_PER_SECOND of the node)`;
      budget.droppedRecords = 0;
      budget.droppedBytes = 0;
      this.#emit(source, undefined, 'warn', dropped);
    }
    this.#emit(source, call, level, text);
  }

  #emit(source: LogSource, call: Call | undefined, level: LogLevelName, text: string): void {
    const { project, version } = source.version;
    const at = Date.now();
    const line: LogLine = {
      id: newId('log', at),
      at,
      project,
      function: source.version.function,
      version,
      invocation: call?.request.meta.id ?? '',
      instance: source.id,
      level,
      text,
    };
    this.#recorder.log(line);
    source.lastLines?.push(text);
    const collected = call?.request.logs;
    if (collected !== undefined && collected.length < 1000) collected.push(line);
  }

  #expireIdle(): void {
    const now = performance.now();
    for (const pool of this.#pools.values()) {
      pool.expireIdle(now);
      pool.freezeIdle(now);
    }
  }

  #onPoolEmpty(pool: VersionPool): void {
    const key = versionKey(pool.version);
    if (this.#pools.get(key) === pool) this.#pools.delete(key);
  }
}

function shapeOf({ settings }: DeployedVersion): SandboxShape {
  const { runtime, memoryMiB, cpus, tmpMiB, pids } = settings;
  return { runtime, memoryMiB, cpus, tmpMiB, pids };
}
