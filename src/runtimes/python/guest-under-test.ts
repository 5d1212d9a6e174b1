// A real Python guest for the tests: the program in a process of its own, a socket on its fd 3, and the engine's end of
// the protocol here. Invariant: disposing of it leaves no process and no folder behind. Used by this folder's tests.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { Flag, FrameReader, FrameType, decodeMeta, encodeFrame, encodeJsonFrame, encodeMetaFrame } from '../../protocol/frames.ts';
import type { Frame, GuestError, HelloPayload, InitPayload, ReadyPayload, RequestMeta, ResponseMeta } from '../../protocol/frames.ts';

/** The system's, not one that a version manager put first on the path. */
export const PYTHON = '/usr/bin/python3';
export const PYTHON_FLAGS = ['-I', '-S', '-B', '-X', 'utf8'];

export interface LogRecord {
  level: number;
  text: string;
  stream: number;
}

/** How an invocation ended. */
export interface Outcome {
  status: number;
  headers: string[];
  body: Buffer;
  error: GuestError | undefined;
  logs: LogRecord[];
  handlerUs: number;
}

export interface Exit {
  code: number | null;
  signal: string | null;
  stderr: string;
}

export class Stream {
  readonly id: number;
  status = 0;
  headers: string[] = [];
  readonly chunks: Buffer[] = [];
  receivedBytes = 0;
  /** Bytes that the guest has granted for the request's body. */
  grantedBytes = 0;
  readonly outcome: Promise<Outcome>;
  end!: (end: { error?: GuestError; handlerUs: number }) => void;

  constructor(id: number, logs: LogRecord[]) {
    this.id = id;
    this.outcome = new Promise((resolve) => {
      this.end = ({ error, handlerUs }) =>
        resolve({
          status: this.status,
          headers: this.headers,
          body: Buffer.concat(this.chunks),
          error,
          logs: logs.filter((log) => log.stream === id),
          handlerUs,
        });
    });
  }

  header(name: string): string | undefined {
    const at = this.headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
    return at === -1 ? undefined : this.headers[at + 1];
  }
}

export interface GuestOptions {
  /** Files of the artifact; a string alone is main.py. */
  code: string | Record<string, string | Buffer>;
  init?: Partial<InitPayload>;
  /** Give no credit back for the bytes of answers. */
  withholdCredit?: boolean;
  /** Resolve once the code has been handed over, not loaded. */
  atOnce?: boolean;
  /** Hand over a connected socket, non-blocking as the launcher's is. */
  nonBlocking?: boolean;
}

export class GuestUnderTest implements AsyncDisposable {
  readonly folder: string;
  readonly codeFolder: string;
  readonly exit: Promise<Exit>;
  readonly logs: LogRecord[] = [];
  readonly statsKib: number[] = [];
  hello: HelloPayload | undefined;
  ready: ReadyPayload | undefined;
  failed: GuestError | undefined;
  /** Called for each frame, after it was taken in. */
  onFrame: (frame: Frame) => void = () => {};
  readonly #channel: Duplex;
  readonly #child: ChildProcess;
  readonly #options: GuestOptions;
  readonly #streams = new Map<number, Stream>();
  #nextStream = 1;

  /** Boots a guest and loads the code; resolves when that is done or has failed. */
  static async start(options: GuestOptions): Promise<GuestUnderTest> {
    const folder = mkdtempSync(join(tmpdir(), 'virga-python-guest-'));
    const files = typeof options.code === 'object' ? options.code : { 'main.py': options.code };
    for (const [name, content] of Object.entries(files)) {
      const path = join(folder, 'code', name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
    const argv = [...PYTHON_FLAGS, join(import.meta.dirname, 'guest.py'), 'python3'];
    let guest: GuestUnderTest;
    if (options.nonBlocking === true) {
      const [ours, theirs] = await socketPair(join(folder, 'channel.sock'));
      const child = spawn(PYTHON, argv, { env: {}, stdio: ['ignore', 'pipe', 'pipe', theirs] });
      theirs.destroy();
      guest = new GuestUnderTest(folder, child, ours, options);
    } else {
      const child = spawn(PYTHON, argv, { env: {}, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
      guest = new GuestUnderTest(folder, child, child.stdio[3] as Duplex, options);
    }
    await guest.#load();
    return guest;
  }

  private constructor(folder: string, child: ChildProcess, channel: Duplex, options: GuestOptions) {
    this.folder = folder;
    this.codeFolder = join(folder, 'code');
    this.#child = child;
    this.#channel = channel;
    this.#options = options;
    const reader = new FrameReader((frame) => this.#take(frame));
    channel.on('data', (chunk: Buffer) => reader.push(chunk));
    channel.on('error', () => {});
    let stderr = '';
    (child.stderr as Readable).setEncoding('utf8').on('data', (text: string) => (stderr += text));
    (child.stdout as Readable).setEncoding('utf8').on('data', (text: string) => (stderr += text));
    this.exit = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stderr })));
  }

  async #load(): Promise<void> {
    await this.until(() => this.hello !== undefined);
    const init: InitPayload = {
      project: 'tour',
      function: 'f',
      version: 3,
      codeFolder: this.codeFolder,
      handler: 'main.py',
      runtime: 'python3',
      env: {},
      memoryMiB: 256,
      timeoutMs: 30_000,
      concurrency: 1,
      logBytesPerSecond: 1024 * 1024,
      ...this.#options.init,
    };
    this.write(encodeJsonFrame(FrameType.INIT, init));
    if (this.#options.atOnce !== true) await this.until(() => this.ready !== undefined || this.failed !== undefined);
  }

  /** Resolves after the first frame that makes the condition true; fails when the guest ends before. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const before = this.onFrame;
      this.onFrame = (frame) => {
        before(frame);
        if (!condition()) return;
        this.onFrame = before;
        resolve();
      };
      void this.exit.then((exit) => reject(new Error(`the guest ended: ${JSON.stringify(exit)}`)));
    });
  }

  /** Opens an invocation over HTTP. With `bodyEnds: false` the rest of the body is sent with `sendBody`. */
  http(
    request: {
      method?: string;
      url?: string;
      headers?: string[];
      body?: string | Buffer;
      bodyEnds?: boolean;
      params?: Record<string, string>;
      route?: string;
      principal?: string;
      timeoutMs?: number;
    } = {},
  ): Stream {
    return this.#open(
      {
        kind: 'http',
        id: `inv_${this.#nextStream}`,
        trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        method: request.method ?? 'GET',
        url: request.url ?? 'http://tour.localhost:8080/',
        headers: request.headers ?? [],
        route: request.route ?? '/',
        params: request.params ?? {},
        client: '127.0.0.1',
        ...(request.principal === undefined ? {} : { principal: request.principal }),
      },
      request,
    );
  }

  /** Opens a direct invocation. */
  invoke(payload: unknown, options: { contentType?: string; body?: Buffer | string; timeoutMs?: number } = {}): Stream {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    return this.#open(
      { kind: 'event', id: `inv_${this.#nextStream}`, trace, trigger: 'invoke', contentType: options.contentType ?? 'application/json' },
      { ...options, body: options.body ?? JSON.stringify(payload) },
    );
  }

  /** Opens any invocation. */
  call(meta: RequestMeta, body: string | Buffer): Stream {
    return this.#open(meta, { body });
  }

  /** Invokes directly and gives the result; throws when there is none. */
  async result(payload: unknown = {}): Promise<unknown> {
    const { error, body } = await this.invoke(payload).outcome;
    if (error !== undefined) throw new Error(`${error.name}: ${error.message}\n${error.stack}`);
    return JSON.parse(body.toString());
  }

  sendBody(stream: Stream, chunk: Buffer | string, end: boolean): void {
    this.write(encodeFrame(FrameType.BODY, { stream: stream.id, flags: end ? Flag.END : 0, payload: Buffer.from(chunk) }));
  }

  credit(stream: Stream, bytes: number): void {
    this.write(encodeFrame(FrameType.CREDIT, { stream: stream.id, arg: bytes }));
  }

  cancel(stream: Stream): void {
    this.write(encodeFrame(FrameType.CANCEL, { stream: stream.id }));
  }

  stop(): void {
    this.write(encodeFrame(FrameType.STOP, {}));
  }

  /** What the end of the engine looks like. */
  hangUp(): void {
    this.#channel.destroy();
  }

  write(bytes: Buffer): void {
    this.#channel.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hangUp();
    this.#child.kill('SIGKILL');
    await this.exit;
    rmSync(this.folder, { recursive: true, force: true });
  }

  #open(meta: RequestMeta, options: { body?: string | Buffer; bodyEnds?: boolean; timeoutMs?: number }): Stream {
    const stream = new Stream(this.#nextStream++, this.logs);
    this.#streams.set(stream.id, stream);
    const flags = options.bodyEnds === false ? 0 : Flag.END;
    this.write(
      encodeMetaFrame(FrameType.REQUEST, meta, Buffer.from(options.body ?? ''), {
        flags,
        stream: stream.id,
        arg: options.timeoutMs ?? 30_000,
      }),
    );
    return stream;
  }

  #take(frame: Frame): void {
    const stream = this.#streams.get(frame.stream);
    const end = (frame.flags & Flag.END) !== 0;
    switch (frame.type) {
      case FrameType.HELLO:
        this.hello = JSON.parse(frame.payload.toString()) as HelloPayload;
        break;
      case FrameType.READY:
        this.ready = JSON.parse(frame.payload.toString()) as ReadyPayload;
        break;
      case FrameType.FAILED:
        this.failed = JSON.parse(frame.payload.toString()) as GuestError;
        break;
      case FrameType.RESPONSE: {
        const { meta, body } = decodeMeta<ResponseMeta>(frame.payload);
        stream!.status = meta.status;
        stream!.headers = meta.headers;
        this.#takeBody(stream!, body, end, frame.arg);
        break;
      }
      case FrameType.BODY:
        this.#takeBody(stream!, frame.payload, end, frame.arg);
        break;
      case FrameType.ERROR:
        stream!.end({ error: JSON.parse(frame.payload.toString()) as GuestError, handlerUs: frame.arg });
        break;
      case FrameType.CREDIT:
        stream!.grantedBytes += frame.arg;
        break;
      case FrameType.LOG:
        this.logs.push({ level: frame.arg, text: frame.payload.toString(), stream: frame.stream });
        break;
      case FrameType.SERVICE:
        break;
      case FrameType.STATS:
        this.statsKib.push(frame.arg);
        break;
      default:
        throw new Error(`an unknown frame type ${frame.type}`);
    }
    this.onFrame(frame);
  }

  #takeBody(stream: Stream, bytes: Buffer, end: boolean, handlerUs: number): void {
    stream.chunks.push(Buffer.from(bytes));
    stream.receivedBytes += bytes.length;
    if (!end && bytes.length > 0 && this.#options.withholdCredit !== true) this.credit(stream, bytes.length);
    if (end) stream.end({ handlerUs });
  }
}

async function socketPair(path: string): Promise<[Socket, Socket]> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const theirs = createConnection(path);
  theirs.pause();
  const ours = await accepted;
  // It listens no more; its 'close' waits for the connection to end.
  server.close();
  return [ours, theirs];
}
