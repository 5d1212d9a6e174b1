// The engine: there is one invoke, and it is here. It keeps a pool per version, shares the node's memory between them,
// and turns the end of each call into a record.
// Invariant: the memory limits of all instances, and what blanks hold, add up to at most limits.sandboxMemoryMiB; no call waits on a database.
// Callers: the gateway, and the edge's private server for direct invocations; the read model says what is current.
import { availableParallelism } from 'node:os';
import { VirgaError } from '../protocol/errors.ts';
import type { InitPayload } from '../protocol/frames.ts';
import { bootedRuntime, isBooted } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';
import type { FunctionStats } from '../protocol/stats.ts';
import { newId } from '../lib/ids.ts';
import type { Recorder } from '../observe/recorder.ts';
import type { Sandbox, SandboxExit, Sandboxes, SandboxShape } from '../sandbox/sandbox.ts';
import { Admission } from './admission.ts';
import type { QueueLimits } from './admission.ts';
import { BLANK_MIB, Blanks } from './blanks.ts';
import { Call } from './call.ts';
import type { CallRequest } from './call.ts';
import { ProjectLoad, VirtualTime } from './fair-share.ts';
import { crashed } from './failures.ts';
import type { GuestServices } from './guest-services.ts';
import { Habits } from './habits.ts';
import { Instance } from './instance.ts';
import type { InstanceEvents } from './instance.ts';
import { LogIntake } from './log-intake.ts';
import { MachineLoad } from './machine-load.ts';
import { recordOf } from './record.ts';
import { Room } from './room.ts';
import type { RoomLimits } from './room.ts';
import { RunGate } from './run-gate.ts';
import { nameOf, versionKey } from './version.ts';
import type { DeployedVersion } from './version.ts';
import { VersionPool } from './version-pool.ts';
import type { WaitingStats } from './pool-stats.ts';
import { WarmUps } from './warm-ups.ts';

/** The part of the configuration's limits that the engine reads. */
export interface RuntimeLimits extends RoomLimits, QueueLimits {
  projectConcurrencyMax: number;
  blanksMax: number;
  bootTimeoutMs: number;
  loadTimeoutMs: number;
  logBytesPerSecond: number;
}

const SWEEP_MS = 250;
/** In sweeps: half a second, five minutes, a day. */
const MEASURE_EVERY = 2;
const FADE_CALLS_EVERY = 1_200;
const FADE_IDLE_TIMES_EVERY = 345_600;
const PROCESSORS = availableParallelism();
/** Of its processors, what calls of all projects together may want; each project has its own limit below that. */
const DEMAND_FACTOR = 4;
/** Blanks that boot at the same time: one processor stays free for those who wait. */
const BLANK_BOOTS_MAX = Math.max(1, PROCESSORS - 1);
/** What every function finds in its environment besides its own settings: nothing of the host's. */
const BASE_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC' };

export class Engine {
  readonly #sandboxes: Sandboxes;
  readonly #recorder: Recorder;
  readonly #limits: RuntimeLimits;
  readonly #services: GuestServices | undefined;
  readonly #pools = new Map<string, VersionPool>();
  /** By sandbox id, for what a sandbox writes to its stdout itself. */
  readonly #instances = new Map<string, Instance>();
  readonly #habits = new Map<string, Habits>();
  readonly #projects = new Map<string, ProjectLoad>();
  readonly #time = new VirtualTime();
  readonly #room: Room;
  readonly #gate: RunGate;
  readonly #admission: Admission;
  readonly #load = new MachineLoad(PROCESSORS);
  readonly #logs: LogIntake;
  readonly #warmUps: WarmUps;
  #current = new Map<string, DeployedVersion>();
  readonly blanks: Blanks;
  readonly #sweeper: NodeJS.Timeout;
  #sweeps = 0;
  #inFlight = 0;
  #idle: (() => void) | undefined;

  constructor(options: { sandboxes: Sandboxes; recorder: Recorder; limits: RuntimeLimits; services?: GuestServices }) {
    this.#services = options.services;
    this.#sandboxes = options.sandboxes;
    this.#recorder = options.recorder;
    this.#limits = options.limits;
    this.#logs = new LogIntake(options.recorder, options.limits);
    this.#sandboxes.outputTo((id, text, level) => {
      const instance = this.#instances.get(id);
      if (instance !== undefined) this.#logs.take(instance, undefined, level, text.trimEnd());
    });
    const { blanksMax, bootTimeoutMs } = options.limits;
    this.blanks = new Blanks(options.sandboxes, { blanksMax, bootTimeoutMs, bootsMax: BLANK_BOOTS_MAX }, () =>
      this.#room.fitsBlank(BLANK_MIB),
    );
    this.#room = new Room(options.limits, { time: this.#time, blanks: this.blanks, tenants: () => this.#pools.values() });
    const { projectConcurrencyMax } = options.limits;
    this.#gate = new RunGate(this.#time, { projectConcurrencyMax, demandMax: DEMAND_FACTOR * PROCESSORS });
    this.#admission = new Admission(options.limits);
    this.#warmUps = new WarmUps((version, until) => {
      if (this.#current.has(versionKey(version))) this.#pool(version).warmUp(until);
    });
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** Calls whose clients still wait. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Calls that wait for an instance, of all versions. */
  get waiting(): number {
    return this.#admission.calls;
  }

  /** Calls that wait for an instance of this version. */
  waitingOf(version: DeployedVersion): number {
    return this.#pools.get(versionKey(version))?.waits.calls ?? 0;
  }

  /** The same of each, where any wait. */
  *waitingVersions(): Iterable<WaitingStats & { version: DeployedVersion }> {
    if (this.waiting === 0) return;
    for (const { version, project, waits } of this.#pools.values()) {
      const { calls, full } = waits;
      yield { version, calls, full: full || project.running >= this.#limits.projectConcurrencyMax };
    }
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
    const current = new Map<string, DeployedVersion>();
    const shapes: SandboxShape[] = [];
    for (const version of versions) {
      shapes.push(shapeOf(version));
      const key = versionKey(version);
      current.set(key, version);
      if (!this.#current.has(key)) this.#sandboxes.prepare(version.artifact, bootedRuntime(version.settings.runtime));
      const { min, windows } = version.settings.instances;
      if (min > 0 || windows !== undefined) this.#pool(version).ensureMin();
      else if (!this.#current.has(key)) this.#pools.get(key)?.revive();
    }
    this.#current = current;
    this.blanks.setShapes(shapes);
    for (const [key, pool] of this.#pools) if (!current.has(key)) pool.retire();
    this.#forgetUnused();
  }

  /** A call of this version may still be accepted when it is not current (a direct invocation names any version). */
  #pool(version: DeployedVersion): VersionPool {
    const key = versionKey(version);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const own = { project: this.#projectOf(version.project), habits: this.#habitsOf(version) };
      const made = new VersionPool(version, own, {
        room: this.#room,
        gate: this.#gate,
        time: this.#time,
        admission: this.#admission,
        limits: this.#limits,
        processors: PROCESSORS,
        load: this.#load,
        start: (v, events, onSandbox) => this.#start(v, events, onSandbox),
        callEnded: (instance, call) => this.#onCallEnded(instance, call),
        log: (source, call, level, text) => this.#logs.take(source, call, level, text),
        empty: () => this.#onPoolEmpty(made),
      });
      pool = made;
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
    clearInterval(this.#sweeper);
    this.#warmUps.close();
    await Promise.all([this.blanks.close(), ...[...this.#pools.values()].map((pool) => pool.close())]);
  }

  async #start(version: DeployedVersion, events: InstanceEvents, onSandbox: (instance: Instance) => void): Promise<Instance> {
    const { settings } = version;
    const startedAt = performance.now();
    let started: Sandbox | undefined;
    let exit: SandboxExit | undefined;
    try {
      const { sandbox, booted } = await this.#sandboxFor(version);
      started = sandbox;
      const instance = new Instance(version, sandbox, events, this.#services);
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
          ...adapterOf(settings),
          env: { ...BASE_ENVIRONMENT, ...settings.env },
          memoryMiB: settings.memoryMiB,
          timeoutMs: settings.timeoutMs,
          concurrency: settings.concurrency,
          loadTimeoutMs: this.#limits.loadTimeoutMs,
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
      // Whoever was refused for want of a place to start is next.
      queueMicrotask(() => this.#room.startEnded());
    }
  }

  /** A crash while the code was being loaded may be that of its compiled form: the calls are worth a second try without it. */
  #withoutCompiled(version: DeployedVersion, cause: unknown): VirgaError {
    this.#sandboxes.discardCompiled(version.artifact, bootedRuntime(version.settings.runtime));
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

  /** What is due. Instances are looked at four times a second, processor time every other of these. */
  #sweep(): void {
    const now = performance.now();
    const unixMs = Date.now();
    for (const pool of this.#pools.values()) pool.sweep(now, unixMs);
    this.#load.look();
    if (++this.#sweeps % MEASURE_EVERY === 0) for (const pool of this.#pools.values()) pool.measure(now);
    if (this.#sweeps % FADE_CALLS_EVERY === 0) for (const habits of this.#habits.values()) habits.fadeCalls();
    if (this.#sweeps % FADE_IDLE_TIMES_EVERY === 0) for (const habits of this.#habits.values()) habits.idleTimes.fade();
  }

  #habitsOf(version: DeployedVersion): Habits {
    const key = functionKey(version);
    let habits = this.#habits.get(key);
    if (habits === undefined) this.#habits.set(key, (habits = new Habits(PROCESSORS)));
    return habits;
  }

  #projectOf(name: string): ProjectLoad {
    let project = this.#projects.get(name);
    if (project === undefined) this.#projects.set(name, (project = new ProjectLoad(name)));
    return project;
  }

  #onPoolEmpty(pool: VersionPool): void {
    const key = versionKey(pool.version);
    if (this.#pools.get(key) !== pool) return;
    this.#pools.delete(key);
    this.#room.forget(pool);
    this.#gate.forget(pool);
    if (this.#current.has(key)) this.#warmUps.plan(pool.version, pool.habits);
    else this.#forgetUnused();
  }

  /** What was known of functions that are not current any more and have no instances goes, and of projects that have none. */
  #forgetUnused(): void {
    const used = new Set([...this.#pools.values()].map(({ version }) => functionKey(version)));
    for (const version of this.#current.values()) used.add(functionKey(version));
    for (const [key, habits] of this.#habits) {
      if (used.has(key)) continue;
      this.#warmUps.cancel(habits);
      this.#habits.delete(key);
    }
    const projects = new Set([...used].map((key) => key.slice(0, key.indexOf('/'))));
    for (const [name, { running, queued, memoryMiB }] of this.#projects) {
      if (!projects.has(name) && running + queued + memoryMiB === 0) this.#projects.delete(name);
    }
  }
}

function functionKey(version: { project: string; function: string }): string {
  return `${version.project}/${version.function}`;
}

function shapeOf({ settings }: DeployedVersion): SandboxShape {
  const { runtime, memoryMiB, cpus, tmpMiB, pids, isolation } = settings;
  return { runtime: bootedRuntime(runtime), memoryMiB, cpus, tmpMiB, pids, isolation };
}

/** What the guest needs to know of how the code is to be run. */
function adapterOf({
  runtime,
  form,
  command,
  httpEvent,
}: VersionSettings): Pick<InitPayload, 'runtime' | 'form' | 'command' | 'httpEvent'> {
  const adapter = isBooted(runtime) ? form : runtime;
  return {
    runtime,
    ...(adapter === 'native' ? {} : { form: adapter }),
    ...(command === undefined ? {} : { command }),
    ...(httpEvent === undefined ? {} : { httpEvent }),
  };
}
