// The guest's end of fd 3: bytes in, frames out. Frames written within one tick leave together in one writev at its end,
// after all promise callbacks, so that answers which become ready in the same tick cost one system call.
// Invariant: frames leave whole and in order; what was sent before process.exit() reaches the host (`flushAtExit`).
// Callers: guest.ts opens it; everything that answers or logs holds it as an `Outlet`.
//
// Writing goes straight to the descriptor (fs.writevSync) and only what the kernel does not take at once goes through
// the net.Socket, which waits for room. Measured with 32 calls on the way, µs of guest CPU per hello: socket.write
// with cork 6.3, direct 6.0; the larger gain is that a log line is with the host before the next line of user code
// runs, so an endless loop or a crash right after console.log still shows what was logged.
import { writeSync, writevSync } from 'node:fs';
import type { Socket } from 'node:net';
import { FrameReader } from '../../protocol/frames.ts';
import type { Frame } from '../../protocol/frames.ts';

/** Where frames go. */
export interface Outlet {
  /** Sends at the end of this tick. A frame may come in pieces (header, payload), given in order. */
  send(piece: Buffer): void;
  /** Sends now. */
  sendNow(frame: Buffer): void;
  /** Asks for one call of `atTickEnd` before this tick's frames leave. */
  defer(writer: TickEnd): void;
  /** Sends everything that waits, as far as the host takes it. */
  flush(): void;
  /** Bytes that the host has not taken yet; more than 0 only when it reads too slowly. */
  readonly congestion: number;
  /** Resolves when the host has taken everything. */
  drained(): Promise<void>;
}

export interface TickEnd {
  atTickEnd(): void;
}

const READ_BYTES = 64 * 1024;
/** So many pieces do not wait for the end of the tick: the host passes them on while the next answers are made. */
const PIECES_EAGER = 8;
/** A process that exits waits at most this long for a slow host to take its last frames, ms. */
const EXIT_FLUSH_MS = 500;
// Taken now: what user code patches later (graceful-fs, fake timers) does not reach the channel.
const nextTick = process.nextTick.bind(process);
const write = writeSync;
const writev = writevSync;

export class Channel implements Outlet {
  readonly #fd: number;
  #socket: Socket | undefined;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #tickEnds: TickEnd[] = [];
  #scheduled = false;
  /** What the socket is still writing. */
  #inSocket: Buffer | undefined;
  #waiters: (() => void)[] = [];
  #closed = false;
  #onEnd: () => void = () => {};
  readonly #endOfTick = (): void => this.#onTickEnd();

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Begins to read. `onEnd` is called once, when the host is gone or talks nonsense. */
  open(onFrame: (frame: Frame) => void, onEnd: () => void): void {
    this.#onEnd = onEnd;
    const reader = new FrameReader(onFrame);
    const into = Buffer.allocUnsafeSlow(READ_BYTES);
    const { Socket } = process.getBuiltinModule('node:net');
    // One buffer for every read: Node's default allocates 64 KiB for each. Bodies are views, so each read is copied.
    const received = (bytes: number): boolean => {
      try {
        reader.push(Buffer.from(into.subarray(0, bytes)));
      } catch {
        this.#end();
      }
      return true;
    };
    const socket = new Socket({ fd: this.#fd, readable: true, writable: true, onread: { buffer: into, callback: received } });
    this.#socket = socket;
    socket.on('error', () => this.#end());
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
    socket.resume();
  }

  /** Lets the process end while the channel is open. */
  unref(): void {
    this.#socket?.unref();
  }

  ref(): void {
    this.#socket?.ref();
  }

  send(piece: Buffer): void {
    this.#queue.push(piece);
    this.#queuedBytes += piece.length;
    if (this.#queue.length >= PIECES_EAGER) this.flush();
    this.#schedule();
  }

  sendNow(frame: Buffer): void {
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.flush();
  }

  defer(writer: TickEnd): void {
    this.#tickEnds.push(writer);
    this.#schedule();
  }

  get congestion(): number {
    return this.#inSocket === undefined ? 0 : this.#inSocket.length + this.#queuedBytes;
  }

  drained(): Promise<void> {
    if (this.#inSocket === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  flush(): void {
    if (this.#inSocket !== undefined || this.#queuedBytes === 0 || this.#closed) return;
    const queue = this.#queue;
    const bytes = this.#queuedBytes;
    this.#queue = [];
    this.#queuedBytes = 0;
    const written = this.#write(queue);
    if (written === bytes || this.#closed) return;
    const rest = Buffer.concat(queue, bytes).subarray(written);
    const socket = this.#socket;
    if (socket === undefined) return this.#writeUntil(rest, performance.now() + EXIT_FLUSH_MS);
    this.#inSocket = rest;
    socket.write(rest, () => {
      this.#inSocket = undefined;
      this.flush();
      if (this.#inSocket !== undefined) return;
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const wake of waiters) wake();
    });
  }

  /** The event loop will not turn again: writes what is left, waiting for a slow host for a bounded time. */
  flushAtExit(): void {
    if (this.#closed) return;
    for (const writer of this.#tickEnds.splice(0)) writer.atTickEnd();
    const pieces = this.#queue;
    if (this.#inSocket !== undefined) {
      // libuv has written a part of this one by itself; its handle knows how much is left.
      const handle = Reflect.get(this.#socket ?? {}, '_handle') as { writeQueueSize?: number } | null | undefined;
      const left = handle?.writeQueueSize ?? 0;
      pieces.unshift(this.#inSocket.subarray(this.#inSocket.length - left));
    }
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#writeUntil(Buffer.concat(pieces), performance.now() + EXIT_FLUSH_MS);
    // What exit handlers after this one write goes straight out: the socket waits for no one any more.
    this.#inSocket = undefined;
    this.#socket = undefined;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    nextTick(this.#endOfTick);
  }

  #onTickEnd(): void {
    this.#scheduled = false;
    if (this.#tickEnds.length > 0) {
      const writers = this.#tickEnds;
      this.#tickEnds = [];
      for (const writer of writers) writer.atTickEnd();
    }
    this.flush();
  }

  /** Writes what the kernel takes at once; answers how many bytes that were. */
  #write(pieces: Buffer[]): number {
    try {
      return pieces.length === 1 ? write(this.#fd, pieces[0]!) : writev(this.#fd, pieces);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.#end();
      return 0;
    }
  }

  #writeUntil(bytes: Buffer, untilMs: number): void {
    let rest = bytes;
    while (rest.length > 0 && !this.#closed) {
      const written = this.#write([rest]);
      rest = rest.subarray(written);
      if (written > 0) continue;
      if (performance.now() > untilMs) {
        this.#closed = true;
        return;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onEnd();
  }
}
