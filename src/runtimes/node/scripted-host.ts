// The host's end of the frame protocol as a test drives it: starts the real, bundled guest with a socketpair on fd 3,
// gives it a function, calls it, and keeps what it answers. Invariant: `close` leaves no process behind. Used by the
// tests of this folder alone; the engine has its own in functions/instance.ts.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import {
  CREDIT_WINDOW,
  Flag,
  FrameReader,
  FrameType,
  LogLevel,
  decodeMeta,
  encodeFrame,
  encodeJsonFrame,
  encodeMetaFrame,
} from '../../protocol/frames.ts';
import type {
  EventRequestMeta,
  Frame,
  GuestError,
  HelloPayload,
  HttpRequestMeta,
  InitPayload,
  LogLevelName,
  ReadyPayload,
  ResponseMeta,
} from '../../protocol/frames.ts';

/** The Nodes that the guest must run on, from npm. */
export const NODES = (['node', 'node24'] as const).map((alias) => {
  const manifest = createRequire(import.meta.url).resolve(`${alias}-${process.platform}-${process.arch}/package.json`);
  return { name: alias === 'node' ? 'Node 26' : 'Node 24', binary: join(dirname(manifest), 'bin', 'node') };
});

export interface LogRecord {
  stream: number;
  level: LogLevelName;
  text: string;
}

export interface CallOptions {
  body?: string | Uint8Array;
  /** The body is sent later, with `Call.send`. */
  streamed?: boolean;
  timeoutMs?: number;
  /** The answer's credits are granted only by `Call.grant`. */
  slow?: boolean;
}

const LEVELS = Object.keys(LogLevel) as LogLevelName[];

export class ScriptedHost {
  readonly process: ChildProcess;
  readonly logs: LogRecord[] = [];
  readonly frames: Frame[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  stderr = '';
  peakKib = 0;
  readonly #channel: Socket;
  readonly #calls = new Map<number, Call>();
  readonly #waiting: { wanted: (frame: Frame) => boolean; found: (frame: Frame) => void }[] = [];
  #nextStream = 1;

  constructor(binary: string, guest: string, options: { flags?: string[]; env?: Record<string, string> } = {}) {
    this.process = spawn(binary, [...(options.flags ?? []), guest, 'nodejs-test'], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: options.env ?? {},
    });
    this.process.stderr!.on('data', (text: Buffer) => (this.stderr += text));
    this.exited = new Promise((resolve) => this.process.on('close', (code, signal) => resolve({ code, signal })));
    this.#channel = this.process.stdio[3] as Socket;
    const reader = new FrameReader((frame) => this.#onFrame(frame));
    this.#channel.on('data', (chunk: Buffer) => reader.push(chunk));
    // Writing to a guest that has ended is part of some tests.
    this.#channel.on('error', () => {});
  }

  async hello(): Promise<HelloPayload> {
    return JSON.parse((await this.frame((frame) => frame.type === FrameType.HELLO)).payload.toString()) as HelloPayload;
  }

  /** Sends INIT and waits for READY or FAILED. */
  async init(codeFolder: string, handler: string, overrides: Partial<InitPayload> = {}): Promise<ReadyPayload> {
    const payload: InitPayload = {
      project: 'tour',
      function: 'hello',
      version: 3,
      codeFolder,
      handler,
      runtime: 'nodejs26',
      env: { GREETING: 'hi' },
      memoryMiB: 256,
      timeoutMs: 30_000,
      concurrency: 64,
      logBytesPerSecond: 1024 * 1024,
      ...overrides,
    };
    this.write(encodeJsonFrame(FrameType.INIT, payload));
    const frame = await this.frame(({ type }) => type === FrameType.READY || type === FrameType.FAILED);
    const answer: unknown = JSON.parse(frame.payload.toString());
    if (frame.type === FrameType.FAILED) throw Object.assign(new Error((answer as GuestError).message), { guest: answer });
    return answer as ReadyPayload;
  }

  http(path: string, overrides: Partial<HttpRequestMeta> = {}, options: CallOptions = {}): Call {
    return this.#call(
      {
        kind: 'http',
        id: `inv_${this.#nextStream}`,
        trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        method: 'GET',
        url: `http://tour.localhost:8080${path}`,
        headers: ['Host', 'tour.localhost:8080', 'User-Agent', 'test'],
        route: '/',
        params: {},
        client: '127.0.0.1',
        ...overrides,
      },
      options,
    );
  }

  event(payload: unknown, overrides: Partial<EventRequestMeta> = {}, options: CallOptions = {}): Call {
    const body = payload instanceof Uint8Array || typeof payload === 'string' ? payload : JSON.stringify(payload);
    const meta: EventRequestMeta = {
      kind: 'event',
      id: `inv_${this.#nextStream}`,
      trace: '',
      trigger: 'invoke',
      contentType: 'application/json',
      ...overrides,
    };
    return this.#call(meta, { body, ...options });
  }

  write(bytes: Buffer): void {
    this.#channel.write(bytes);
  }

  /** The first frame that is wanted, whether it came already or comes later. */
  frame(wanted: (frame: Frame) => boolean): Promise<Frame> {
    const there = this.frames.find(wanted);
    if (there !== undefined) return Promise.resolve(there);
    return new Promise((found, failed) => {
      this.#waiting.push({ wanted, found });
      void this.exited.then(({ code, signal }) =>
        failed(new Error(`the guest ended (code ${code}, signal ${signal}) before the frame came; ${this.stderr}`)),
      );
    });
  }

  async log(wanted: (record: LogRecord) => boolean): Promise<LogRecord> {
    await this.frame((frame) => frame.type === FrameType.LOG && wanted(recordOf(frame)));
    return this.logs.find(wanted)!;
  }

  /** Stops reading, as a host does that is busy. */
  pause(): void {
    this.#channel.pause();
  }

  resume(): void {
    this.#channel.resume();
  }

  /** Resolves when the guest has used no CPU for a while: it has rehearsed. */
  async idle(): Promise<void> {
    // Asleep with no CPU used each time it is looked at: on a busy machine it may only be waiting for its turn.
    const look = async (): Promise<string> => {
      const fields = (await readFile(`/proc/${this.process.pid}/stat`, 'utf8')).split(') ')[1]!.split(' ');
      return fields[0] === 'S' ? fields.slice(11, 13).join() : `${performance.now()}`;
    };
    for (let last = '', now = await look(), same = 0; same < 8; last = now, now = await look(), same = now === last ? same + 1 : 0) {
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  /** Closes fd 3 and waits for the guest's end. */
  async close(): Promise<void> {
    this.#channel.destroy();
    await this.exited;
  }

  /** For a test that fails half-way: whatever state the guest is in. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL');
    await this.close();
  }

  #call(meta: HttpRequestMeta | EventRequestMeta, options: CallOptions): Call {
    const stream = this.#nextStream++;
    const call = new Call(this, stream, options.slow === true);
    this.#calls.set(stream, call);
    const body = options.body === undefined ? undefined : Buffer.from(options.body as string);
    this.write(
      encodeMetaFrame(FrameType.REQUEST, meta, body, {
        flags: options.streamed === true ? 0 : Flag.END,
        stream,
        arg: options.timeoutMs ?? 30_000,
      }),
    );
    return call;
  }

  #onFrame(view: Frame): void {
    const frame = { ...view, payload: Buffer.from(view.payload) };
    // Bodies can be large, and what a test looks for in `frames` are never bodies.
    if (frame.type !== FrameType.BODY) this.frames.push(frame);
    if (frame.type === FrameType.LOG) this.logs.push(recordOf(frame));
    else if (frame.type === FrameType.STATS) this.peakKib = frame.arg;
    else this.#calls.get(frame.stream)?.onFrame(frame);
    const found = this.#waiting.filter(({ wanted }) => wanted(frame));
    for (const waiter of found) {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      waiter.found(frame);
    }
  }
}

function recordOf(frame: Frame): LogRecord {
  return { stream: frame.stream, level: LEVELS[frame.arg]!, text: frame.payload.toString() };
}

/** One invocation as the host sees it. */
export class Call {
  readonly stream: number;
  readonly chunks: Buffer[] = [];
  bodyBytes = 0;
  /** Set to false for bodies that are only counted. */
  keepsBody = true;
  /** Frames that carried the answer. */
  frameCount = 0;
  meta: ResponseMeta | undefined;
  error: GuestError | undefined;
  handlerUs = 0;
  granted = CREDIT_WINDOW;
  /** Credit that the guest has granted for the request's body. */
  credit = CREDIT_WINDOW;
  readonly head: Promise<ResponseMeta>;
  readonly ended: Promise<this>;
  readonly #host: ScriptedHost;
  readonly #slow: boolean;
  #headCame!: (meta: ResponseMeta) => void;
  #endCame!: (call: this) => void;
  #progress: (() => void)[] = [];

  constructor(host: ScriptedHost, stream: number, slow: boolean) {
    this.#host = host;
    this.stream = stream;
    this.#slow = slow;
    this.head = new Promise((resolve) => (this.#headCame = resolve));
    this.ended = new Promise((resolve, reject) => {
      this.#endCame = resolve;
      void host.exited.then(({ code }) => reject(new Error(`the guest ended with code ${code} in the call; ${host.stderr}`)));
    });
    this.ended.catch(() => {});
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.body.toString();
  }

  header(name: string): string[] {
    const flat = this.meta?.headers ?? [];
    return flat.filter((_, i) => i % 2 === 1 && flat[i - 1]!.toLowerCase() === name);
  }

  send(chunk: Uint8Array | string, end = false): void {
    const payload = Buffer.from(chunk as string);
    this.credit -= payload.length;
    this.#host.write(encodeFrame(FrameType.BODY, { stream: this.stream, flags: end ? Flag.END : 0, payload }));
  }

  grant(bytes: number): void {
    this.granted += bytes;
    this.#host.write(encodeFrame(FrameType.CREDIT, { stream: this.stream, arg: bytes }));
  }

  cancel(): void {
    this.#host.write(encodeFrame(FrameType.CANCEL, { stream: this.stream }));
  }

  /** Resolves when `reached` holds after a frame of this stream. */
  async until(reached: () => boolean): Promise<void> {
    while (!reached()) await new Promise<void>((resolve) => this.#progress.push(resolve));
  }

  onFrame(frame: Frame): void {
    const end = (frame.flags & Flag.END) !== 0;
    if (frame.type === FrameType.CREDIT) this.credit += frame.arg;
    else if (frame.type === FrameType.ERROR) {
      this.error = JSON.parse(frame.payload.toString()) as GuestError;
      this.#endCame(this);
    } else if (frame.type === FrameType.RESPONSE || frame.type === FrameType.BODY) {
      this.frameCount++;
      if (frame.type === FrameType.RESPONSE) {
        const { meta, body } = decodeMeta<ResponseMeta>(frame.payload);
        this.meta = meta;
        this.#took(body, end);
        this.#headCame(meta);
      } else this.#took(frame.payload, end);
      if (end) {
        this.handlerUs = frame.arg;
        this.#endCame(this);
      }
    }
    for (const wake of this.#progress.splice(0)) wake();
  }

  #took(bytes: Buffer, end: boolean): void {
    if (bytes.length === 0) return;
    if (this.keepsBody) this.chunks.push(bytes);
    this.bodyBytes += bytes.length;
    if (!end && !this.#slow) this.grant(bytes.length);
  }
}
