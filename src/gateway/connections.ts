// The connections of the gateway, and the closing of those that clients leave idle or let wait: see slow-clients.ts. Invariant: a
// connection with a request under way is never closed for being idle; an idle one lives for at least its keep-alive time and at
// most one sweep longer.
// Owned by accept.ts. node:http would do it with a timer that is made and dropped for each request, which costs more than
// the routing of one; what is remembered here for a request is one reference.
import type { ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { isTooSlow, isTooSlowStream, newPace } from './slow-clients.ts';
import type { Pace, SlowLimits } from './slow-clients.ts';

const CONNECTION = Symbol('connection');

interface Connection {
  /** The latest; undefined once it was seen to be over. */
  response: ServerResponse | undefined;
  idleSinceMs: number;
  pace: Pace;
}

interface Session {
  streams: Map<ServerHttp2Stream, Pace>;
  idleSinceMs: number;
}

export interface ConnectionLimits extends SlowLimits {
  keepAliveMs: number;
}

type Tracked = Socket & { [CONNECTION]?: Connection };

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #tooSlow: (response: ServerResponse) => void;
  readonly #sockets = new Set<Tracked>();
  readonly #sessions = new Map<ServerHttp2Session, Session>();
  readonly #sweep: NodeJS.Timeout;
  #whenNone: (() => void) | undefined;

  /** `tooSlow` is told of a client that does not send the body that it owes, while an answer can still be given. */
  constructor(limits: ConnectionLimits, tooSlow: (response: ServerResponse) => void) {
    this.#limits = limits;
    this.#tooSlow = tooSlow;
    this.#sweep = setInterval(() => this.#look(), Math.min(limits.keepAliveMs / 8, limits.slowClientMs / 4));
    this.#sweep.unref();
  }

  add(socket: Tracked): void {
    socket[CONNECTION] = { response: undefined, idleSinceMs: performance.now(), pace: newPace() };
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#left();
    });
  }

  /** A connection of HTTP/2. */
  addSession(session: ServerHttp2Session): void {
    const held: Session = { streams: new Map(), idleSinceMs: performance.now() };
    this.#sessions.set(session, held);
    session.on('stream', (stream) => {
      held.streams.set(stream, newPace());
      stream.on('close', () => {
        held.streams.delete(stream);
        held.idleSinceMs = performance.now();
      });
    });
    session.on('error', () => {}); // 'close' follows.
    session.on('close', () => {
      this.#sessions.delete(session);
      this.#left();
    });
  }

  /** A request came; the connection is in use until its response is over. Not for HTTP/2, whose streams tell. */
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

  /** Clients of HTTP/2 are told to go elsewhere with what they have not begun (GOAWAY); what is under way goes on. */
  drain(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  /** Resolves when every connection is closed, at the latest after `timeoutMs`. */
  async none(timeoutMs: number): Promise<void> {
    if (this.#sockets.size + this.#sessions.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenNone = resolve;
    const late = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(late);
  }

  close(): void {
    clearInterval(this.#sweep);
    for (const session of this.#sessions.keys()) session.destroy();
    for (const socket of this.#sockets) if (socket[CONNECTION]!.idleSinceMs !== Infinity) socket.destroy();
  }

  #left(): void {
    if (this.#sockets.size + this.#sessions.size === 0) this.#whenNone?.();
  }

  #look(): void {
    const now = performance.now();
    const { keepAliveMs } = this.#limits;
    for (const socket of this.#sockets) {
      const connection = socket[CONNECTION]!;
      const { response } = connection;
      if (response !== undefined) {
        // Idle from the first sweep that finds it so.
        connection.idleSinceMs = now;
        if (response.writableFinished || response.destroyed) connection.response = undefined;
        else if (isTooSlow(socket, response, connection.pace, { now, limits: this.#limits })) {
          connection.response = undefined;
          if (response.headersSent || response.req.complete) socket.destroy();
          else this.#tooSlow(response);
        }
      } else if (now - connection.idleSinceMs >= keepAliveMs) socket.destroy();
    }
    for (const [session, { streams, idleSinceMs }] of this.#sessions) {
      if (streams.size === 0 && now - idleSinceMs >= keepAliveMs) {
        // The second time round its client has not answered the GOAWAY.
        if (session.closed) session.destroy();
        else session.close();
      }
      for (const [stream, pace] of streams) {
        if (isTooSlowStream(stream, pace, { now, limits: this.#limits })) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      }
    }
  }
}
