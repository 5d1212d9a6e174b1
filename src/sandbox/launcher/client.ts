// Sandboxes for the edge: asks the launcher (launcher.sock) to start them, and takes the sockets over which it then talks
// to their guests directly (channels.sock).
//
//   away ──connected, hello──▶ there ──connection lost──▶ away (every sandbox counts as exited: the launcher kills them)
//
// Invariant: a start resolves with a connected sandbox or fails with VirgaError, at the latest after START_TIMEOUT_MS;
// `exited` of each sandbox resolves once. While away, a start fails at once; reconnecting goes on until close().
// Caller: profiles/embedded.ts, for functions/engine.ts.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { VirgaError } from '../../protocol/errors.ts';
import type { RuntimeName } from '../../protocol/settings.ts';
import { cpuOfTree } from '../process-tree.ts';
import { NOTHING_COUNTED } from '../sandbox.ts';
import type { Assignment, CpuClock, NodeSandboxStatus, Sandbox, SandboxControls, SandboxExit, SandboxSpec, Sandboxes } from '../sandbox.ts';
import { ChannelDoor } from './channel-door.ts';
import { CHANNELS_SOCKET, LAUNCHER_SOCKET, LineReader, encodeLine } from './wire.ts';
import type { FromLauncher, ToLauncher } from './wire.ts';

const RECONNECT_MS_FIRST = 20;
const RECONNECT_MS_MAX = 1_000;
/** Starts may wait in the launcher for others, and for an artifact to be unpacked. */
const START_TIMEOUT_MS = 30_000;
const LOST: SandboxExit = {
  code: null,
  signal: 'SIGKILL',
  outOfMemory: false,
  usage: NOTHING_COUNTED,
  lost: true,
  stderrTail: 'the launcher ended, and its sandboxes with it',
};

/** Of a fork bomb not all are looked at. */
const CPU_PROCESSES_MAX = 64;
const NO_CONTROLS: SandboxControls = { freezer: null, memory: null, processor: null };

interface Answer extends Pick<Sandbox, 'codeFolder' | 'compiledFolder'> {
  controls: SandboxControls;
  /** 0: not told again. */
  pid: number;
}

interface Tenancy {
  /** Of the start, then of the assignment. */
  answered: PromiseWithResolvers<Answer>;
  exited: PromiseWithResolvers<SandboxExit>;
  channel: Duplex | undefined;
}

export class LauncherClient implements Sandboxes {
  readonly #launcherPath: string;
  readonly #channelsPath: string;
  readonly #door: ChannelDoor;
  #onOutput: (id: string, text: string, level: 'info' | 'warn') => void = () => {};
  readonly #tenancies = new Map<string, Tenancy>();
  #socket: Socket | undefined;
  #status: NodeSandboxStatus | undefined;
  #arrival = Promise.withResolvers<void>();
  #delayMs = RECONNECT_MS_FIRST;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(config: { runFolder: string }) {
    this.#launcherPath = join(config.runFolder, LAUNCHER_SOCKET);
    this.#channelsPath = join(config.runFolder, CHANNELS_SOCKET);
    this.#door = new ChannelDoor(this.#channelsPath);
    this.#connect();
  }

  status(): NodeSandboxStatus | undefined {
    return this.#status;
  }

  /** At most 64 KiB/s of each sandbox. */
  outputTo(listener: (id: string, text: string, level: 'info' | 'warn') => void): void {
    this.#onOutput = listener;
  }

  /** Resolves when the launcher is there. */
  async connected(): Promise<void> {
    if (this.#status === undefined) await this.#arrival.promise;
  }

  async start(spec: SandboxSpec, assignment: Assignment | null): Promise<Sandbox> {
    if (this.#status === undefined) throw away('is not connected; it is being started or restarted');
    const tenancy: Tenancy = { answered: Promise.withResolvers(), exited: Promise.withResolvers(), channel: undefined };
    this.#tenancies.set(spec.id, tenancy);
    const expected = this.#door.expect(spec.id);
    const late = setTimeout(
      () => tenancy.answered.reject(away(`did not start sandbox ${spec.id} within ${START_TIMEOUT_MS} ms`)),
      START_TIMEOUT_MS,
    );
    this.#send({ op: 'start', spec, assignment });
    let channel: Duplex;
    let answer: Answer;
    try {
      [channel, answer] = await Promise.all([expected.channel, tenancy.answered.promise]);
    } catch (error) {
      expected.cancel();
      this.#tenancies.delete(spec.id);
      this.#send({ op: 'kill', id: spec.id });
      throw error;
    } finally {
      clearTimeout(late);
    }
    tenancy.channel = channel;
    return new LaunchedByClient(spec.id, { channel, ...answer, exited: tenancy.exited.promise }, this);
  }

  /** While the launcher is away this is lost; it makes up for that when the artifact is first used. */
  prepare(artifact: string, runtime: RuntimeName): void {
    this.#send({ op: 'prepare', artifact, runtime });
  }

  discardCompiled(artifact: string, runtime: RuntimeName): void {
    this.#send({ op: 'discardCompiled', artifact, runtime });
  }

  /** Of LaunchedByClient alone. */
  async assign(id: string, assignment: Assignment): Promise<Answer> {
    const tenancy = this.#tenancies.get(id);
    if (tenancy === undefined) throw away('ended the sandbox before it was given its version');
    tenancy.answered = Promise.withResolvers();
    this.#send({ op: 'assign', id, assignment });
    return tenancy.answered.promise;
  }

  /** Of LaunchedByClient alone. */
  promote(id: string): void {
    this.#send({ op: 'promote', id });
  }

  /** Of LaunchedByClient alone. */
  kill(id: string): void {
    if (this.#tenancies.has(id)) this.#send({ op: 'kill', id });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.destroy();
    this.#lose();
    await this.#door.close();
    rmSync(this.#channelsPath, { force: true });
  }

  #connect(): void {
    const socket = connect(this.#launcherPath);
    this.#socket = socket;
    const reader = new LineReader<FromLauncher>();
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const message of reader.push(chunk)) this.#take(message);
      } catch {
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#lose();
      if (this.#closed) return;
      this.#retry = setTimeout(() => this.#connect(), this.#delayMs);
      this.#delayMs = Math.min(this.#delayMs * 2, RECONNECT_MS_MAX);
    });
  }

  #send(message: ToLauncher): void {
    if (this.#socket?.writable === true) this.#socket.write(encodeLine(message));
  }

  #take(message: FromLauncher): void {
    if (message.op === 'hello') {
      this.#status = message.status;
      this.#delayMs = RECONNECT_MS_FIRST;
      this.#arrival.resolve();
      return;
    }
    if (message.op === 'output' || message.op === 'log') {
      this.#onOutput(message.id, message.text, message.op === 'log' ? message.level : 'info');
      return;
    }
    const tenancy = this.#tenancies.get(message.id);
    if (tenancy === undefined) return;
    if (message.op === 'started') tenancy.answered.resolve(message);
    else if (message.op === 'assigned') tenancy.answered.resolve({ ...message, controls: NO_CONTROLS, pid: 0 });
    else if (message.op === 'refused') tenancy.answered.reject(new VirgaError(message.code, message.message));
    else {
      this.#tenancies.delete(message.id);
      // Nobody may be waiting for it any more.
      tenancy.answered.promise.catch(() => {});
      tenancy.answered.reject(away('ended the sandbox before it was given its version'));
      tenancy.exited.resolve(message.exit);
    }
  }

  /** The launcher is gone, and by its death every sandbox. */
  #lose(): void {
    if (this.#status !== undefined) this.#arrival = Promise.withResolvers();
    this.#status = undefined;
    const tenancies = [...this.#tenancies.values()];
    this.#tenancies.clear();
    for (const tenancy of tenancies) {
      tenancy.answered.promise.catch(() => {});
      tenancy.answered.reject(away('ended while the sandbox was being started'));
      tenancy.exited.resolve(LOST);
      // A guest of a driver whose sandboxes do not die with the launcher ends by this.
      tenancy.channel?.destroy();
    }
  }
}

class LaunchedByClient implements Sandbox {
  readonly id: string;
  readonly channel: Duplex;
  readonly exited: Promise<SandboxExit>;
  codeFolder: string | null;
  compiledFolder: string | null;
  readonly #client: LauncherClient;
  readonly #controls: SandboxControls;
  readonly #pid: number;

  constructor(id: string, parts: Pick<Sandbox, 'channel' | 'exited'> & Answer, client: LauncherClient) {
    this.id = id;
    this.channel = parts.channel;
    this.codeFolder = parts.codeFolder;
    this.compiledFolder = parts.compiledFolder;
    this.exited = parts.exited;
    this.#controls = parts.controls;
    this.#pid = parts.pid;
    this.#client = client;
  }

  async assign(assignment: Assignment): Promise<void> {
    ({ codeFolder: this.codeFolder, compiledFolder: this.compiledFolder } = await this.#client.assign(this.id, assignment));
  }

  promote(): void {
    this.#client.promote(this.id);
  }

  freeze(): boolean {
    const { freezer } = this.#controls;
    return freezer !== null && write(freezer.file, freezer.freeze);
  }

  thaw(): void {
    const { freezer } = this.#controls;
    if (freezer !== null) write(freezer.file, freezer.thaw);
  }

  memoryBytes(): number | null {
    if (this.#controls.memory === null) return null;
    try {
      return Number(readFileSync(this.#controls.memory, 'latin1'));
    } catch {
      return null; // It has ended.
    }
  }

  cpu(): CpuClock | null {
    return cpuOfTree(this.#pid, { processesMax: CPU_PROCESSES_MAX });
  }

  processorMs(): number | null {
    const { processor } = this.#controls;
    if (processor === null) return null;
    try {
      const text = readFileSync(processor.file, 'latin1');
      return processor.unit === 'ns' ? Number(text) / 1e6 : Number(/^usage_usec (\d+)$/m.exec(text)?.[1]) / 1e3;
    } catch {
      return null; // It has ended.
    }
  }

  async kill(): Promise<void> {
    this.#client.kill(this.id);
    await this.exited;
    this.channel.destroy();
  }
}

/** False: the file is not there any more, since the sandbox has ended. */
function write(file: string, text: string): boolean {
  try {
    writeFileSync(file, text);
    return true;
  } catch {
    return false;
  }
}

function away(what: string): VirgaError {
  return new VirgaError('sandbox_unavailable', `the launcher ${what}`);
}
