// Everything before a request: doors, connections, the servers of HTTP/1.1 and HTTP/2, and how all of it ends.
// Invariant: what it hands on is a request of a connection whose Peer is known, whichever way it came. Made by accept.ts.
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import { Connections } from './connections.ts';
import type { ConnectionLimits } from './connections.ts';
import { ConnectionCounts } from './doors/connection-counts.ts';
import { greet, proxyDoor, tlsDoor } from './doors/doors.ts';
import type { DoorOptions, TlsDoorOptions } from './doors/doors.ts';
import { http1Server, http2Server } from './doors/http-servers.ts';
import type { Accept, HttpLimits } from './doors/http-servers.ts';
import { isHttp2, peerOn, setPeer } from './doors/peer.ts';
import { TrustedProxies } from './doors/trusted-proxies.ts';
import { respondError } from './respond.ts';

export interface FrontOptions {
  limits?: Partial<FrontLimits>;
  /** Default: none are trusted. */
  proxies?: TrustedProxies;
  proxyProtocol?: boolean;
  /** Makes `secure`. */
  tls?: TlsDoorOptions;
}

export interface FrontLimits extends HttpLimits, ConnectionLimits {
  connectionsMax: number;
  clientConnectionsMax: number;
}

interface Handlers {
  accept: Accept;
  upgrade: (request: IncomingMessage, socket: Duplex, first: Buffer) => void;
  mayUpgrade: (request: IncomingMessage) => boolean;
}

/** Those of the configuration say more (config/settings-table.ts). keepAliveMs: longer than the usual 60 s of proxies in front, so that they close first. */
const LIMITS: FrontLimits = {
  headBytesMax: 32_768,
  headersMax: 128,
  urlBytesMax: 8_192,
  headTimeoutMs: 30_000,
  streamsPerConnectionMax: 100,
  keepAliveMs: 65_000,
  slowClientMs: 30_000,
  slowClientBytesPerSecond: 256,
  connectionsMax: 50_000,
  clientConnectionsMax: 50_000,
};

export class Front {
  readonly plain: Server;
  readonly secure: Server | undefined;
  readonly limits: FrontLimits;
  readonly proxies: TrustedProxies;
  readonly #http1: HttpServer;
  readonly #http2: Http2Server;
  readonly #connections: Connections;

  constructor(options: FrontOptions, { accept, upgrade, mayUpgrade }: Handlers) {
    const limits = (this.limits = { ...LIMITS, ...options.limits });
    const proxies = (this.proxies = options.proxies ?? new TrustedProxies([]));
    const { proxyProtocol = false } = options;
    this.#connections = new Connections(limits, (response) => this.#tooSlow(response));
    const doors: DoorOptions = { proxies, proxyProtocol, counts: new ConnectionCounts(limits), timeoutMs: limits.headTimeoutMs };
    this.#http1 = http1Server(limits, accept, mayUpgrade);
    this.#http1.on('connection', (socket) => {
      if (peerOn(socket) !== undefined || greet(socket, 'http', doors) !== undefined) this.#connections.add(socket);
    });
    this.#http1.on('upgrade', upgrade);
    this.#http2 = http2Server(limits, accept);
    this.#http2.on('session', (session) => {
      setPeer(session, peerOn(session.socket)!);
      this.#connections.addSession(session);
    });
    this.plain = proxyProtocol ? proxyDoor('http', doors, (socket) => this.#http1.emit('connection', socket)) : this.#http1;
    const enter = (socket: TLSSocket): unknown => (socket.alpnProtocol === 'h2' ? this.#http2 : this.#http1).emit('connection', socket);
    this.secure = options.tls === undefined ? undefined : tlsDoor(doors, options.tls, enter);
  }

  /** A request came. */
  used(request: IncomingMessage, response: ServerResponse): void {
    if (isHttp2(request)) return;
    this.#connections.used(response);
    // Node's name for what it says in the Keep-Alive header; without it a client is told nothing.
    Reflect.set(response, '_keepAliveTimeout', this.limits.keepAliveMs);
  }

  handedOver(socket: Socket): void {
    this.#connections.handedOver(socket);
  }

  drain(): void {
    this.plain.close();
    this.secure?.close();
    this.#http1.closeIdleConnections();
    this.#connections.drain();
  }

  async flushed(timeoutMs: number): Promise<void> {
    await this.#connections.none(timeoutMs);
  }

  close(): void {
    this.#connections.close();
    this.#http1.closeAllConnections();
  }

  /** Its body does not come; the connection cannot be used again. */
  #tooSlow(response: ServerResponse): void {
    const { slowClientBytesPerSecond: rate, slowClientMs } = this.limits;
    const error = new VirgaError(
      'request_timeout',
      `the body came slower than ${rate} bytes/s for ${slowClientMs} ms (VIRGA_LIMIT_SLOW_CLIENT_BYTES_PER_SECOND, VIRGA_LIMIT_SLOW_CLIENT_MS)`,
    );
    response.once('finish', () => response.destroy());
    respondError(response, error, { requestId: newId('inv'), close: true });
  }
}
