// Scripted guests for tests: the far end of the real frame protocol, well-behaved or hostile, over a pair of streams in
// place of a sandbox's socket; and a recorder that keeps what it is given. Used by the tests of functions and gateway.
import { duplexPair } from 'node:stream';
import type { Duplex } from 'node:stream';
import type { VirgaError } from '../protocol/errors.ts';
import { Flag, FrameReader, FrameType, decodeMeta, encodeJsonFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { Frame, RequestMeta } from '../protocol/frames.ts';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import type { VersionSettings } from '../protocol/settings.ts';
import type { Recorder, RecorderStatus } from '../observe/recorder.ts';
import { NOTHING_COUNTED } from '../sandbox/sandbox.ts';
import type { Assignment, CpuClock, NodeSandboxStatus, Sandbox, SandboxExit, SandboxSpec, Sandboxes } from '../sandbox/sandbox.ts';
import type { DeployedVersion } from './version.ts';

const SETTINGS: VersionSettings = {
  runtime: 'nodejs26',
  form: 'native',
  handler: 'index.mjs',
  memoryMiB: 100,
  timeoutMs: 1000,
  concurrency: 1,
  instances: { min: 0, max: 4 },
  cpus: null,
  tmpMiB: 1,
  pids: 16,
  isolation: 'standard',
  queue: 10,
  idleMs: 60_000,
  env: {},
  egress: 'internet',
};

export function testVersion(settings: Partial<VersionSettings> = {}, name = 'f', number = 1): DeployedVersion {
  return { project: 'p', function: name, version: number, artifact: 'a', settings: { ...SETTINGS, ...settings }, createdAt: 0 };
}

export interface GuestScript {
  onInit?: (guest: Guest) => void;
  onRequest: (guest: Guest, stream: number, meta: RequestMeta, body: Buffer) => void;
  onFrame?: (guest: Guest, frame: Frame) => void;
}

export const TEST_LIMITS = {
  sandboxMemoryMiB: 10_000,
  sandboxesMax: 100,
  startsInFlightMax: 8,
  queueCallsMax: 10_000,
  queueBytesMax: 1 << 26,
  projectQueueCallsMax: 10_000,
  projectQueueBytesMax: 1 << 26,
  functionQueueBytesMax: 1 << 26,
  projectConcurrencyMax: 1_000,
  blanksMax: 4,
  bootTimeoutMs: 500,
  loadTimeoutMs: 500,
  logBytesPerSecond: 1000,
};

export class Guest {
  readonly channel: Duplex;
  readonly spec: SandboxSpec;
  readonly end: (exit: Partial<SandboxExit>) => void;
  readonly seen: Frame[] = [];

  constructor(channel: Duplex, spec: SandboxSpec, end: (exit: Partial<SandboxExit>) => void, script: GuestScript) {
    this.channel = channel;
    this.spec = spec;
    this.end = end;
    const reader = new FrameReader((frame) => {
      this.seen.push({ ...frame, payload: Buffer.from(frame.payload) });
      if (frame.type === FrameType.INIT) (script.onInit ?? ready)(this);
      if (frame.type === FrameType.REQUEST) {
        const { meta, body } = decodeMeta<RequestMeta>(frame.payload);
        script.onRequest(this, frame.stream, meta, Buffer.from(body));
      }
      script.onFrame?.(this, frame);
      if (frame.type === FrameType.STOP) end({ code: 0 });
    });
    channel.on('data', (chunk: Buffer) => reader.push(chunk));
    this.send(encodeJsonFrame(FrameType.HELLO, { runtime: 'nodejs26', runtimeVersion: 'v26', bootMs: 1 }));
  }

  send(bytes: Buffer): void {
    if (!this.channel.destroyed) this.channel.write(bytes);
  }

  answer(stream: number, text: string): void {
    this.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, Buffer.from(text), { flags: Flag.END, stream, arg: 1 }));
  }
}

function ready(guest: Guest): void {
  guest.send(encodeJsonFrame(FrameType.READY, { loadMs: 1, initMs: 1, exports: ['handler'] }));
}

export class ScriptedSandboxes implements Sandboxes {
  readonly guests: Guest[] = [];
  readonly #script: GuestScript;
  alive = 0;
  refuse: VirgaError | undefined;
  /** The CPU clock of all of them. */
  cpu: () => CpuClock | null = () => null;
  /** Set: sandboxes can be stopped, and hold this. */
  heldBytes: number | undefined;
  /** How long a start takes, how many there are at the moment, and how many sandboxes are stopped. */
  startMs = 0;
  /** Set: what each request takes of a processor. */
  processorMsPerCall: number | undefined;
  starting = 0;
  frozen = 0;
  /** What the sandboxes that are started from now on say of it; discardCompiled() makes it null. */
  compiledFolder: string | null = null;
  readonly prepared: string[] = [];
  /** Without it there are no blanks. */
  driver: NodeSandboxStatus | undefined;

  constructor(script: GuestScript) {
    this.#script = script;
  }

  async start(spec: SandboxSpec, assignment: Assignment | null): Promise<Sandbox> {
    if (this.refuse !== undefined) throw this.refuse;
    this.starting++;
    if (this.startMs > 0) await new Promise((resolve) => setTimeout(resolve, this.startMs));
    this.starting--;
    const [host, far] = duplexPair();
    const exited = Promise.withResolvers<SandboxExit>();
    this.alive++;
    let over = false;
    let frozen = false;
    const setFrozen = (to: boolean): void => {
      if (frozen !== to) this.frozen += to ? 1 : -1;
      frozen = to;
    };
    const end = (exit: Partial<SandboxExit>): void => {
      if (over) return;
      over = true;
      this.alive--;
      setFrozen(false);
      far.destroy();
      exited.resolve({ code: null, signal: null, outOfMemory: false, stderrTail: '', usage: NOTHING_COUNTED, ...exit });
    };
    const guest = new Guest(far, spec, end, this.#script);
    this.guests.push(guest);
    const sandbox = {
      id: spec.id,
      channel: host,
      codeFolder: assignment === null ? null : '/code',
      compiledFolder: this.compiledFolder,
      exited: exited.promise,
      assign: async (): Promise<void> => void (sandbox.codeFolder = '/code'),
      promote: (): void => {},
      freeze: (): boolean => {
        if (this.heldBytes === undefined) return false;
        setFrozen(true);
        return true;
      },
      thaw: (): void => setFrozen(false),
      memoryBytes: (): number | null => this.heldBytes ?? null,
      cpu: (): CpuClock | null => this.cpu(),
      processorMs: (): number | null =>
        this.processorMsPerCall === undefined
          ? null
          : this.processorMsPerCall * guest.seen.filter(({ type }) => type === FrameType.REQUEST).length,
      kill: async (): Promise<void> => end({ signal: 'SIGKILL' }),
    };
    return sandbox;
  }

  status(): NodeSandboxStatus | undefined {
    return this.driver;
  }

  outputTo(): void {}

  prepare(artifact: string): void {
    this.prepared.push(artifact);
  }

  discardCompiled(): void {
    this.compiledFolder = null;
  }

  async close(): Promise<void> {}
}

export class MemoryRecorder implements Recorder {
  readonly records: InvocationRecord[] = [];
  readonly lines: LogLine[] = [];
  invocation(record: InvocationRecord): void {
    this.records.push(record);
  }
  log(line: LogLine): void {
    this.lines.push(line);
  }
  status(): RecorderStatus {
    return { pending: 0, pendingBytes: 0, written: 0, dropped: { invocations: 0, logLines: 0 } };
  }
  async close(): Promise<void> {}
}
