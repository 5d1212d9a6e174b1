// The edge's door for the channels of sandboxes (channels.sock): a connection says for which sandbox it is in its first
// line, and is handed to whoever expects it; all bytes after that line belong to the guest.
// Invariant: a connection that nobody expects, or that says nothing within LINE_TIMEOUT_MS, is closed; at most
// PENDING_MAX wait to say it. Owned by client.ts.
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

const LINE_TIMEOUT_MS = 5_000;
const LINE_BYTES_MAX = 100;
const PENDING_MAX = 1_024;

export class ChannelDoor {
  readonly #server: Server;
  readonly #expected = new Map<string, (channel: Socket) => void>();
  readonly #pending = new Set<Socket>();
  #closed = false;

  constructor(path: string) {
    rmSync(path, { force: true });
    this.#server = createServer({ allowHalfOpen: false }, (socket) => this.#greet(socket));
    this.#server.listen(path);
  }

  expect(id: string): { channel: Promise<Socket>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<Socket>();
    this.#expected.set(id, resolve);
    return {
      channel: promise,
      cancel: () => {
        this.#expected.delete(id);
        // It may have come already.
        void promise.then((channel) => channel.destroy());
      },
    };
  }

  /** Closes the door; channels that were handed over stay. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const socket of this.#pending) socket.destroy();
    if (!this.#server.listening) await once(this.#server, 'listening');
    this.#server.close();
  }

  #greet(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#pending.size >= PENDING_MAX) {
      socket.destroy();
      return;
    }
    this.#pending.add(socket);
    const late = setTimeout(() => socket.destroy(), LINE_TIMEOUT_MS);
    let line = Buffer.alloc(0);
    const done = (): void => {
      clearTimeout(late);
      this.#pending.delete(socket);
      socket.off('close', done);
      // 'readable', not 'data' and pause(): after this the stream flows again as soon as somebody listens.
      socket.off('readable', read);
    };
    const read = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      line = Buffer.concat([line, chunk]);
      const end = line.indexOf(10);
      if (end === -1) {
        if (line.length > LINE_BYTES_MAX) socket.destroy();
        return;
      }
      done();
      const take = this.#expected.get(line.toString('latin1', 0, end));
      if (take === undefined) {
        socket.destroy();
        return;
      }
      this.#expected.delete(line.toString('latin1', 0, end));
      // The guest may have been faster than us.
      if (line.length > end + 1) socket.unshift(line.subarray(end + 1));
      take(socket);
    };
    socket.on('readable', read);
    socket.once('close', done);
  }
}
