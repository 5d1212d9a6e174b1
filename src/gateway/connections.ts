// The connections of the gateway, and the closing of those that clients leave idle. Invariant: a connection with a request
// under way is never closed here; an idle one lives for at least its keep-alive time and at most one sweep longer.
// Owned by accept.ts. node:http would do it with a timer that is made and dropped for each request, which costs more than
// the routing of one; what is remembered here for a request is one reference.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const CONNECTION = Symbol('connection');

interface Connection {
  /** The latest; undefined once it was seen to be over. */
  response: ServerResponse | undefined;
  idleSinceMs: number;
}

type Tracked = Socket & { [CONNECTION]?: Connection };

export class Connections {
  readonly #keepAliveMs: number;
  readonly #sockets = new Set<Tracked>();
  readonly #sweep: NodeJS.Timeout;
  #whenNone: (() => void) | undefined;

  constructor(keepAliveMs: number) {
    this.#keepAliveMs = keepAliveMs;
    this.#sweep = setInterval(() => this.#closeIdle(), keepAliveMs / 8);
    this.#sweep.unref();
  }

  add(socket: Tracked): void {
    socket[CONNECTION] = { response: undefined, idleSinceMs: performance.now() };
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#whenNone?.();
    });
  }

  /** A request came; the connection is in use until its response is over. */
  used(response: ServerResponse): void {
    // The request's: a response that waits behind another has none yet.
    const socket: Tracked = response.req.socket;
    const connection = socket[CONNECTION];
    if (connection !== undefined) connection.response = response;
  }

  /** It speaks another protocol from now on, and is not for this file to close. */
  handedOver(socket: Tracked): void {
    const connection = socket[CONNECTION];
    if (connection === undefined) return;
    connection.response = undefined;
    connection.idleSinceMs = Infinity;
  }

  /** Resolves when every connection is closed, at the latest after `timeoutMs`. */
  async none(timeoutMs: number): Promise<void> {
    if (this.#sockets.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenNone = resolve;
    const late = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(late);
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  #closeIdle(): void {
    const now = performance.now();
    for (const socket of this.#sockets) {
      const connection = socket[CONNECTION]!;
      const { response } = connection;
      if (response !== undefined) {
        // Idle from the first sweep that finds it so.
        connection.idleSinceMs = now;
        if (response.writableFinished || response.destroyed) connection.response = undefined;
      } else if (now - connection.idleSinceMs >= this.#keepAliveMs) socket.destroy();
    }
  }
}
