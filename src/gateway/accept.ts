// The front door: accepts a request, finds its version (route.ts), reads a small body, hands it to the engine, and lets
// exchange.ts carry the answer. This is the top of the hot path: accept → route → engine.invoke → instance.run → guest.
// Invariant: nothing here waits on anything but the client and the engine. Made by server/edge.ts.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { CallRequest } from '../functions/call.ts';
import type { Engine } from '../functions/engine.ts';
import { stoppingError } from '../functions/failures.ts';
import { newId } from '../lib/ids.ts';
import { continueTrace } from '../lib/traceparent.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import { Connections } from './connections.ts';
import { Exchange, tooLarge } from './exchange.ts';
import type { ReadModel } from './read-model.ts';
import { readHead } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { respondError } from './respond.ts';
import { route } from './route.ts';
import type { Routed, RouteResult } from './route.ts';
import { UpgradeExchange, protocolOf, responseOn, takesUpgrades, upgradeTarget } from './upgrade.ts';

export interface GatewayOptions {
  engine: Engine;
  model: ReadModel;
  requestBytesMax: number;
  /** Idle connections are closed after this long, ms. */
  keepAliveMs?: number;
}

/** Time for a client to send the head of a request, ms. */
const HEADERS_TIMEOUT_MS = 30_000;
/** How long an idle connection is kept, ms: longer than the usual 60 s of proxies in front, so that they close first. */
const KEEP_ALIVE_MS = 65_000;

export class Gateway {
  readonly server: Server;
  readonly #options: GatewayOptions;
  readonly #connections: Connections;
  readonly #keepAliveMs: number;
  readonly #upgrades = new Set<UpgradeExchange>();
  #draining = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    // requestTimeout 0: an upload may take as long as it takes; the function's own timeout bounds it.
    // keepAliveTimeout 0: connections.ts closes the idle ones. A request without a body is spared the stream of one.
    this.server = createServer(
      {
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: 0,
        keepAliveTimeout: 0,
        optimizeEmptyRequests: true,
        shouldUpgradeCallback: (request) => this.#mayUpgrade(request),
      },
      (request, response) => this.#accept(request, response, false),
    );
    this.#keepAliveMs = options.keepAliveMs ?? KEEP_ALIVE_MS;
    this.#connections = new Connections(this.#keepAliveMs);
    this.server.on('connection', (socket) => this.#connections.add(socket));
    this.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => this.#accept(request, response, true));
    this.server.on('upgrade', (request, socket, first) => this.#upgrade(request, socket, first));
  }

  /** No new connections; answers from now on close theirs. Calls in flight go on. */
  drain(): void {
    this.#draining = true;
    this.server.close();
    this.server.closeIdleConnections();
    for (const upgrade of this.#upgrades) upgrade.drain(stoppingError());
  }

  /** Resolves when every connection is closed, at the latest after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    await this.#connections.none(timeoutMs);
  }

  close(): void {
    this.#connections.close();
    this.server.closeAllConnections();
    for (const upgrade of this.#upgrades) upgrade.close();
  }

  #accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    if (this.#draining) response.shouldKeepAlive = false;
    this.#connections.used(response);
    // Node's name for what it says in the Keep-Alive header; without it a client is told nothing.
    Reflect.set(response, '_keepAliveTimeout', this.#keepAliveMs);
    const head = readHead(request);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const routed = this.#route(request, head.host);
    if (routed.kind === 'options') {
      response.writeHead(204, ['allow', routed.allow.join(', '), 'x-request-id', requestId]);
      response.end();
      request.resume();
      return;
    }
    if (routed.kind === 'failed') {
      respondError(response, routed.error, { requestId, ...(routed.allow === undefined ? {} : { allow: routed.allow }) });
      request.resume();
      return;
    }
    const bytesMax = this.#options.requestBytesMax;
    if (head.contentLength !== undefined && head.contentLength > bytesMax) {
      // The body is not read: the connection cannot be used again.
      respondError(response, tooLarge(bytesMax), { requestId, close: true });
      return;
    }
    if (expectsContinue) response.writeContinue();
    const exchange = new Exchange(request, response, requestId, bytesMax);
    if (head.contentLength === 0) this.#invoke(exchange, head, routed, id, undefined, true);
    else if (head.contentLength !== undefined && head.contentLength <= BODY_CHUNK_MAX) this.#readSmallBody(exchange, head, routed, id);
    else this.#invoke(exchange, head, routed, id, undefined, false);
  }

  /** A small body is read before an instance is taken: a slow client then holds none, and it rides in the first frame. */
  #readSmallBody(exchange: Exchange, head: RequestHead, routed: Routed, id: string): void {
    const chunks: Buffer[] = [];
    exchange.request.on('data', (chunk: Buffer) => chunks.push(chunk));
    exchange.request.on('end', () => {
      this.#invoke(exchange, head, routed, id, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks), true);
    });
  }

  #invoke(exchange: Exchange, head: RequestHead, routed: Routed, id: string, body: Buffer | undefined, bodyEnds: boolean): void {
    const { request, response } = exchange;
    if (response.destroyed) return;
    const call = this.#options.engine.invoke(callRequest(exchange, head, routed, { id, body, bodyEnds }));
    if (call instanceof VirgaError) {
      respondError(response, call, { requestId: exchange.requestId, close: !request.complete });
      request.resume();
      return;
    }
    exchange.call = call;
  }

  #route(request: IncomingMessage, host: string): RouteResult {
    return route(this.#options.model, { method: request.method ?? 'GET', target: request.url ?? '/', host });
  }

  /** Whether the request leaves HTTP for another protocol. Who asks for one that nobody speaks here is answered as if he had not asked, but for WebSocket. */
  #mayUpgrade(request: IncomingMessage): boolean {
    const protocol = protocolOf(request);
    if (protocol === undefined || request.method === 'OPTIONS') return false;
    if (protocol.toLowerCase() === 'websocket') return true;
    const routed = this.#route(request, request.headers.host ?? '');
    return routed.kind === 'found' && takesUpgrades(routed.version.settings.runtime);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    this.#connections.handedOver(request.socket);
    const head = readHead(request);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const protocol = protocolOf(request) ?? '';
    const routed = this.#route(request, head.host);
    const version = this.#draining ? stoppingError() : upgradeTarget(routed, protocol);
    if (version instanceof VirgaError) {
      socket.on('error', () => {});
      socket.resume();
      respondError(responseOn(request, socket), version, { requestId, close: true });
      return;
    }
    head.headers.push('connection', 'Upgrade', 'upgrade', protocol);
    const exchange = new UpgradeExchange(request, socket, first, requestId);
    this.#upgrades.add(exchange);
    socket.on('close', () => this.#upgrades.delete(exchange));
    const call = this.#options.engine.invoke({
      ...callRequest(exchange, head, version, { id, body: undefined, bodyEnds: false }),
      upgrade: true,
    });
    if (call instanceof VirgaError) exchange.failed(call, false);
    else exchange.call = call;
  }
}

function callRequest(
  exchange: Exchange | UpgradeExchange,
  head: RequestHead,
  routed: Routed,
  { id, body, bodyEnds }: { id: string; body: Buffer | undefined; bodyEnds: boolean },
): CallRequest {
  const { request } = exchange;
  const trace = continueTrace(head.traceparent);
  const client = request.socket.remoteAddress ?? '';
  head.headers.push(
    'traceparent',
    trace.traceparent,
    'x-request-id',
    exchange.requestId,
    'x-forwarded-for',
    client,
    'x-forwarded-proto',
    'http',
  );
  const method = request.method ?? 'GET';
  return {
    version: routed.version,
    meta: {
      kind: 'http',
      id,
      trace: trace.traceparent,
      method,
      url: `http://${head.host}${routed.target}`,
      headers: head.headers,
      route: routed.route,
      params: routed.params,
      client,
    },
    traceId: trace.traceId,
    body,
    bodyEnds,
    trigger: 'http',
    requestLine: requestLine(method, routed.target),
    sink: exchange,
  };
}

/** Method and path for the record: no query, since that may hold what nobody should log. */
function requestLine(method: string, target: string): string {
  const query = target.indexOf('?');
  return `${method} ${(query < 0 ? target : target.slice(0, query)).slice(0, 512)}`;
}
