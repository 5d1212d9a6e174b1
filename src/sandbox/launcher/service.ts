// The launcher's side of launcher.sock: takes requests for sandboxes from the edge, starts them through a driver, reports
// their output and their end.
//
//   start ──▶ refused                       (bounds, artifact, runtime, channel, driver: each with its reason)
//         └─▶ started ──(output)*──▶ exited
//   assign ──▶ refused | assigned           (a blank that started; once)
//
// Invariant: each start is answered once, and each `started` is followed by one `exited`, after nothing of it is left.
// A sandbox belongs to the connection that asked for it and dies with that. Bounded: sandboxes, starts in flight; memory is
// the engine's to share out, since only it knows which sandboxes are at rest.
// Caller: server/launcher.ts.
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { VirgaError } from '../../protocol/errors.ts';
import type { Launch, LaunchedSandbox, Mount, Network } from '../driver.ts';
import type { NodeDriver } from '../node-driver.ts';
import type { RuntimeName } from '../../protocol/settings.ts';
import type { RuntimeStats } from '../../protocol/stats.ts';
import type { Assignment, SandboxSpec } from '../sandbox.ts';
import { EdgeLink } from './edge-link.ts';

export interface LauncherServiceOptions {
  driver: NodeDriver;
  /** What functions can ask for on this node. */
  runtimes: RuntimeStats[];
  /** How a sandbox of this shape boots, without files. Fails with VirgaError. */
  boot(spec: SandboxSpec): Omit<Launch, 'lateTargets' | 'background' | 'network'>;
  /** The files of a version: its code, then its compiled code if there is any. Fails with VirgaError. */
  files(assignment: Assignment, spec: SandboxSpec): Promise<Mount[]>;
  /** The targets that `files` may name, in this order. */
  fileTargets: [code: string, compiled: string];
  /** See Sandboxes in sandbox.ts. Neither fails. */
  prepare(artifact: string, runtime: RuntimeName): void;
  discardCompiled(artifact: string, runtime: RuntimeName): void;
  /** null: sandboxes have no network. */
  networks: { take(): Promise<Network> } | null;
  socketPath: string;
  channelsPath: string;
  limits: { sandboxesMax: number; startsInFlightMax: number };
}

/** One edge; a few while one takes over from another. */
const CONNECTIONS_MAX = 4;
const CHANNEL_TIMEOUT_MS = 5_000;
const ID_PATTERN = /^sbx_[0-9a-z]{1,60}$/;

/** A start that was accepted, until its sandbox has exited. */
interface Lease {
  spec: SandboxSpec;
  /** null: it is blank. */
  assignment: Assignment | null;
  link: EdgeLink;
  sandbox: LaunchedSandbox | undefined;
  /** Of its version; none while it is blank. */
  files: Mount[];
  network: Network | null;
  /** kill came, or the edge left, before there was a sandbox to kill. */
  unwanted: boolean;
  over: Promise<void>;
}

export class LauncherService {
  readonly #options: LauncherServiceOptions;
  readonly #server: Server;
  readonly #links = new Set<EdgeLink>();
  readonly #leases = new Map<string, Lease>();
  #starting = 0;
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(options: LauncherServiceOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  async listen(): Promise<void> {
    await rm(this.#options.socketPath, { force: true });
    const listening = once(this.#server, 'listening');
    this.#server.listen(this.#options.socketPath);
    await listening;
  }

  /** Kills every sandbox and waits until nothing of them is left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#server.close();
    for (const link of this.#links) link.close();
    for (const lease of this.#leases.values()) this.#end(lease);
    await Promise.all([...this.#leases.values()].map((lease) => lease.over));
    await rm(this.#options.socketPath, { force: true });
  }

  #accept(socket: Socket): void {
    const link = new EdgeLink(socket, {
      start: (spec, assignment) => this.#start(spec, assignment, link),
      assign: (id, assignment) => void this.#assign(id, assignment, link),
      prepare: (artifact, runtime) => this.#options.prepare(artifact, runtime),
      discardCompiled: (artifact, runtime) => this.#options.discardCompiled(artifact, runtime),
      promote: (id) => {
        const lease = this.#leases.get(id);
        if (lease?.link === link) lease.sandbox?.promote();
      },
      kill: (id) => {
        const lease = this.#leases.get(id);
        if (lease?.link === link) this.#end(lease);
      },
      closed: () => {
        this.#links.delete(link);
        for (const lease of this.#leases.values()) if (lease.link === link) this.#end(lease);
      },
    });
    this.#links.add(link);
    link.send({ op: 'hello', status: { ...this.#options.driver.status, runtimes: this.#options.runtimes } });
  }

  #start(spec: SandboxSpec, assignment: Assignment | null, link: EdgeLink): void {
    try {
      this.#check(spec, assignment);
    } catch (error) {
      refuse(link, spec, error);
      return;
    }
    const lease: Lease = { spec, assignment, link, sandbox: undefined, files: [], network: null, unwanted: false, over: Promise.resolve() };
    this.#leases.set(spec.id, lease);
    lease.over = this.#live(lease).finally(() => this.#leases.delete(spec.id));
  }

  /** The whole life of one sandbox. Never rejects. */
  async #live(lease: Lease): Promise<void> {
    const { spec, link } = lease;
    let sandbox: LaunchedSandbox;
    await this.#enter();
    try {
      sandbox = await this.#launch(lease);
    } catch (error) {
      lease.network?.release();
      refuse(link, spec, error);
      return;
    } finally {
      this.#leave();
    }
    lease.sandbox = sandbox;
    link.send({ op: 'started', id: spec.id, pid: sandbox.pid, ...this.#folders(lease, sandbox), controls: sandbox.controls });
    if (lease.unwanted) void sandbox.kill();
    const exit = await sandbox.exited;
    lease.network?.release();
    link.send({ op: 'exited', id: spec.id, exit });
  }

  async #launch(lease: Lease): Promise<LaunchedSandbox> {
    const { spec, link, assignment } = lease;
    const boot = this.#options.boot(spec);
    const late = this.#options.driver.lateFiles(spec.isolation);
    if (assignment === null && !late) throw new VirgaError('sandbox_unavailable', 'this node has no blank sandboxes');
    const files = (lease.files = assignment === null ? [] : await this.#options.files(assignment, spec));
    const lateTargets = assignment === null ? this.#options.fileTargets : [];
    if (this.#options.driver.joinsNetworks(spec.isolation)) lease.network = (await this.#options.networks?.take()) ?? null;
    if (assignment !== null) connectNetwork(lease, assignment);
    const mounts = [...boot.mounts, ...files];
    const launch: Launch = { ...boot, mounts, lateTargets, network: lease.network?.path ?? null, background: assignment === null };
    if (lease.unwanted) throw new VirgaError('sandbox_unavailable', `sandbox ${spec.id} was killed before it started`);
    const channel = await connectChannel(this.#options.channelsPath, spec.id);
    try {
      return await this.#options.driver.start(launch, channel, link.outputOf(spec.id));
    } finally {
      // Our copy alone: the sandbox has its own, so this is no end of the connection.
      channel.destroy();
    }
  }

  /** Never rejects. */
  async #assign(id: string, assignment: Assignment, link: EdgeLink): Promise<void> {
    const lease = this.#leases.get(id);
    // It ended before it was wanted: its `exited` says so.
    if (lease?.sandbox === undefined || lease.link !== link) return;
    try {
      if (lease.assignment !== null) throw new VirgaError('conflict', `sandbox ${id} holds a version already`);
      lease.assignment = assignment;
      connectNetwork(lease, assignment);
      lease.sandbox.promote();
      lease.files = await this.#options.files(assignment, lease.spec);
      await lease.sandbox.show(lease.files);
      const { codeFolder, compiledFolder } = this.#folders(lease, lease.sandbox);
      link.send({ op: 'assigned', id, codeFolder: codeFolder!, compiledFolder });
    } catch (error) {
      refuse(link, lease.spec, error);
    }
  }

  /** As the guest sees them. */
  #folders(lease: Lease, sandbox: LaunchedSandbox): { codeFolder: string | null; compiledFolder: string | null } {
    const inside = (wanted: string): string | null => (lease.files.some(({ target }) => target === wanted) ? sandbox.inside(wanted) : null);
    const [code, compiled] = this.#options.fileTargets;
    return { codeFolder: inside(code), compiledFolder: inside(compiled) };
  }

  #end(lease: Lease): void {
    lease.unwanted = true;
    void lease.sandbox?.kill();
  }

  #check(spec: SandboxSpec, assignment: Assignment | null): void {
    const { sandboxesMax } = this.#options.limits;
    const counts = [spec.memoryMiB, spec.tmpMiB, spec.pids];
    if (!ID_PATTERN.test(spec.id) || !counts.every((count) => Number.isSafeInteger(count) && count > 0)) {
      throw new VirgaError(
        'invalid_request',
        `this is no sandbox that could be started: ${JSON.stringify({ ...spec, assignment }).slice(0, 500)}`,
      );
    }
    if (this.#closed) throw new VirgaError('sandbox_unavailable', 'the launcher is stopping');
    if (this.#leases.has(spec.id)) throw new VirgaError('conflict', `there is a sandbox ${spec.id} already`);
    if (this.#leases.size >= sandboxesMax) {
      throw new VirgaError('sandbox_unavailable', `this node runs ${this.#leases.size} sandboxes, the most that it may (sandboxesMax)`);
    }
  }

  async #enter(): Promise<void> {
    if (this.#starting < this.#options.limits.startsInFlightMax) this.#starting++;
    // Whoever leaves hands its place over. The queue is bounded by sandboxesMax.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#starting--;
    else next();
  }
}

function connectNetwork({ network, link, spec }: Lease, assignment: Assignment): void {
  network?.assign(assignment.network, (level, text) => link.send({ op: 'log', id: spec.id, level, text }));
}

function refuse(link: EdgeLink, spec: SandboxSpec, error: unknown): void {
  const known = error instanceof VirgaError;
  const message = error instanceof Error ? error.message : String(error);
  link.send({
    op: 'refused',
    id: spec.id,
    code: known ? error.code : 'sandbox_unavailable',
    message: known ? message : `the sandbox could not be started: ${message}`,
  });
}

/** A connection to the edge, announced, from which nothing is ever read here: its bytes are for the guest. */
async function connectChannel(path: string, id: string): Promise<Socket> {
  const socket = connect(path);
  socket.pause();
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CHANNEL_TIMEOUT_MS) });
    await new Promise<void>((resolve, reject) => socket.write(`${id}\n`, (error) => (error ? reject(error) : resolve())));
  } catch (error) {
    socket.destroy();
    throw new VirgaError('sandbox_unavailable', `the edge takes no channel at ${path}: ${(error as Error).message}`, { cause: error });
  }
  socket.on('error', () => {});
  return socket;
}
