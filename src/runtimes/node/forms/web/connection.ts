// One TCP connection to the program: a request goes out, its response comes in, and then perhaps the next.
//
//   idle ──send──▶ head ──▶ none │ length │ chunked │ close ──end of the body──▶ idle, or closed
//                   └─101──▶ raw ──either side ends──▶ closed
//
// Invariant: the receiver hears the end of its response once, or its failure once; while it has not taken a chunk nothing more
// is read, so that the program waits and no memory grows. Used by connections.ts and proxy.ts.
//
// Our own reading of HTTP/1 and not node:http, whose client takes 32 µs of CPU for a hello at 32 connections where this takes 11.
import type { Socket } from 'node:net';
import { BadResponse } from '../../failure.ts';
import { ChunkedBody } from './chunked.ts';
import { parseHead } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';

/** Hears a response. A promise: nothing more is read until it resolves, and the chunk's memory stays as it is. */
export interface Receiver {
  onHead(head: ResponseHead, body: Buffer, end: boolean): Promise<void> | undefined;
  onBody(chunk: Buffer, end: boolean): Promise<void> | undefined;
  /** No (complete) response will come. */
  onFailure(error: Error): void;
}

/** What a connection says of itself when it breaks: the program may have ended with it. */
export class ConnectionLost extends Error {
  override name = 'ConnectionLost';
  /** Nothing of a response had come. */
  readonly silent: boolean;

  constructor(message: string, silent: boolean) {
    super(message);
    this.silent = silent;
  }
}

const READ_BYTES = 64 * 1024;
const HEAD_BYTES_MAX = 256 * 1024;
const NOTHING = Buffer.alloc(0);

export class Connection {
  readonly #socket: Socket;
  readonly #onClosed: (connection: Connection) => void;
  #state: 'idle' | 'head' | 'length' | 'chunked' | 'close' | 'raw' | 'closed' = 'idle';
  #receiver: Receiver | undefined;
  #method = '';
  #upgrade = false;
  #pending: Buffer = NOTHING;
  #left = 0;
  #chunks: ChunkedBody | undefined;
  #keepAlive = true;
  #whenDrained: (() => void) | undefined;
  /** Of this response. */
  #bytes = 0;
  /** Requests that it has carried. */
  uses = 0;
  /** performance.now() */
  idleSince = 0;
  /** As the program says, s. */
  idleS = Infinity;

  /** `onClosed`: it is of no use any more. */
  constructor(address: { host: string; port: number }, onClosed: (connection: Connection) => void) {
    this.#onClosed = onClosed;
    const { Socket: TcpSocket } = process.getBuiltinModule('node:net');
    const into = Buffer.allocUnsafeSlow(READ_BYTES);
    const socket = new TcpSocket({ onread: { buffer: into, callback: (bytes) => this.#onBytes(into.subarray(0, bytes)) } });
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('drain', () => this.#whenDrained?.());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lost(error.code ?? error.message));
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#lost('closed'));
    socket.connect(address);
  }

  get usable(): boolean {
    return this.#state === 'idle';
  }

  /** `head` is the whole head of a request; `body` what of its body is there. */
  send(request: { method: string; head: string; body: Buffer | undefined; upgrade: boolean }, receiver: Receiver): void {
    const { method, head, body, upgrade } = request;
    this.#receiver = receiver;
    this.#method = method;
    this.#upgrade = upgrade;
    this.#state = 'head';
    this.#bytes = 0;
    this.uses++;
    const socket = this.#socket;
    if (body === undefined || body.length === 0) {
      socket.write(head, 'latin1');
      return;
    }
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body);
    socket.uncork();
  }

  /** More of the request. A promise: wait for it before the next piece. */
  write(...pieces: (Buffer | string)[]): Promise<void> | undefined {
    const socket = this.#socket;
    if (this.#state === 'closed') return undefined;
    socket.cork();
    let full = false;
    for (const piece of pieces) full = !(typeof piece === 'string' ? socket.write(piece, 'latin1') : socket.write(piece)) || full;
    socket.uncork();
    if (!full) return undefined;
    return new Promise((resolve) => {
      this.#whenDrained = () => {
        this.#whenDrained = undefined;
        resolve();
      };
    });
  }

  /** Nothing more comes from here; what the program sends is still read. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#receiver = undefined;
    this.#socket.destroy();
    this.#close();
  }

  #onBytes(bytes: Buffer): boolean {
    let wait: Promise<void> | undefined;
    try {
      wait = this.#take(bytes);
    } catch (error) {
      this.#fail(error as Error);
      return true;
    }
    if (wait === undefined) return true;
    wait.then(
      () => this.#socket.resume(),
      (error: unknown) => this.#fail(error as Error),
    );
    return false;
  }

  #take(bytes: Buffer): Promise<void> | undefined {
    this.#bytes += bytes.length;
    switch (this.#state) {
      case 'head':
        return this.#takeHead(bytes);
      case 'raw':
      case 'close':
        return this.#receiver!.onBody(bytes, false);
      case 'length':
        return this.#takeLength(bytes, undefined);
      case 'chunked':
        return this.#takeChunks(bytes, 0, undefined);
      case 'idle':
        // Nobody has asked for it.
        this.destroy();
        return undefined;
      case 'closed':
        return undefined;
    }
  }

  #takeHead(bytes: Buffer): Promise<void> | undefined {
    const before = this.#pending.length;
    const all = before === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const end = all.indexOf('\r\n\r\n', Math.max(0, before - 3), 'latin1');
    if (end === -1) {
      if (all.length > HEAD_BYTES_MAX) throw new BadResponse(`its headers have more than ${HEAD_BYTES_MAX} bytes`);
      this.#pending = before === 0 ? Buffer.from(all) : all;
      return undefined;
    }
    this.#pending = NOTHING;
    const head = parseHead(all.toString('latin1', 0, end), this.#method, this.#upgrade);
    const rest = all.subarray(end + 4);
    if (head.status < 200) {
      // Informational: what counts comes after it.
      if (head.status !== 101) return rest.length === 0 ? undefined : this.#takeHead(rest);
      if (!this.#upgrade) throw new BadResponse('it switches to another protocol (101), which the request did not ask for');
      this.#state = 'raw';
      return this.#receiver!.onHead(head, rest, false);
    }
    this.#keepAlive = head.keepAlive;
    this.idleS = head.idleS;
    switch (head.body) {
      case 'none':
        return this.#ended(rest.length, (receiver) => receiver.onHead(head, NOTHING, true));
      case 'length':
        this.#left = head.length;
        return this.#takeLength(rest, head);
      case 'chunked':
        this.#chunks = new ChunkedBody();
        return this.#takeChunks(rest, 0, head);
      case 'close':
        this.#state = 'close';
        return this.#receiver!.onHead(head, rest, false);
    }
  }

  /** `head`: it has not been given to the receiver yet. */
  #takeLength(bytes: Buffer, head: ResponseHead | undefined): Promise<void> | undefined {
    const body = bytes.length <= this.#left ? bytes : bytes.subarray(0, this.#left);
    this.#left -= body.length;
    if (this.#left > 0) this.#state = 'length';
    return this.#give(head, body, this.#left === 0, bytes.length - body.length);
  }

  #takeChunks(bytes: Buffer, from: number, head: ResponseHead | undefined): Promise<void> | undefined {
    const chunks = this.#chunks!;
    this.#state = 'chunked';
    const { data, rest } = chunks.read(bytes, from);
    if (data.length === 0 && !chunks.done && head === undefined) return undefined;
    return this.#give(head, data, chunks.done, bytes.length - rest);
  }

  #give(head: ResponseHead | undefined, body: Buffer, end: boolean, beyond: number): Promise<void> | undefined {
    const give = (receiver: Receiver): Promise<void> | undefined =>
      head === undefined ? receiver.onBody(body, end) : receiver.onHead(head, body, end);
    return end ? this.#ended(beyond, give) : give(this.#receiver!);
  }

  /** The response is complete; more bytes than that (`beyond`) make the connection useless. */
  #ended(beyond: number, give: (receiver: Receiver) => Promise<void> | undefined): Promise<void> | undefined {
    const receiver = this.#receiver!;
    this.#receiver = undefined;
    this.#chunks = undefined;
    if (this.#keepAlive && beyond === 0) this.#state = 'idle';
    else this.destroy();
    return give(receiver);
  }

  #onEnd(): void {
    if (this.#state === 'raw' || this.#state === 'close') {
      const receiver = this.#receiver!;
      this.destroy();
      const wait = receiver.onBody(NOTHING, true);
      if (wait !== undefined) wait.catch((error: unknown) => receiver.onFailure(error as Error));
    } else this.#lost('closed');
  }

  #lost(why: string): void {
    const silent = this.#state === 'head' && this.#bytes === 0;
    const what = silent ? 'before it had answered' : 'in the middle of its answer';
    this.#fail(new ConnectionLost(`the program ended the connection ${what} (${why})`, silent));
  }

  #fail(error: Error): void {
    const receiver = this.#receiver;
    this.destroy();
    receiver?.onFailure(error);
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#whenDrained?.();
    this.#onClosed(this);
  }
}
