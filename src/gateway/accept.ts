// The front door: accepts a request, finds its version (route.ts), takes it through the stages of its route (admit.ts), reads a
// small body, hands it to the engine, and lets exchange.ts carry the answer. This is the top of the hot path: accept → route →
// admit → engine.invoke → instance.run → guest.
// Invariant: nothing here waits on anything but the client, the stages and the engine. Made by server/edge.ts.
import { createServer, ServerResponse } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Call, CallSink } from '../functions/call.ts';
import type { Engine } from '../functions/engine.ts';
import { stoppingError } from '../functions/failures.ts';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import { Admission } from './admit.ts';
import { callRequest } from './call-request.ts';
import { Connections } from './connections.ts';
import { Exchange, tooLarge, tooLargeForRoute } from './exchange.ts';
import { comesTooLate } from './last-answer.ts';
import type { ReadModel } from './read-model.ts';
import { readHead } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { respondError, respondLocally } from './respond.ts';
import { route } from './route.ts';
import type { Routed, RouteResult } from './route.ts';
import { isRefusal } from './stage.ts';
import type { Verdict } from './stage.ts';
import type { ClientLimit } from './throttle/client-limit.ts';
import { UpgradeExchange, protocolOf, responseOn, takesUpgrades, upgradeTarget } from './upgrade.ts';

export interface GatewayOptions {
  engine: Engine;
  model: ReadModel;
  requestBytesMax: number;
  /** Of the node, for each client address; absent: none. */
  clientLimit?: ClientLimit;
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
    if (comesTooLate(request)) {
      request.resume();
      return;
    }
    if (this.#draining) response.shouldKeepAlive = false;
    this.#connections.used(response);
    // Node's name for what it says in the Keep-Alive header; without it a client is told nothing.
    Reflect.set(response, '_keepAliveTimeout', this.#keepAliveMs);
    const head = readHead(request);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const routed = this.#admissible(request, head);
    if (routed.kind === 'preflight') {
      const admission = new Admission(request, { head, routed: routed.routed, id, requestId }, this.#callBehind);
      this.#conclude(admission, response, admission.preflightAnswer(routed.allow));
      return;
    }
    if (routed.kind === 'options') {
      response.writeHead(204, ['allow', routed.allow.join(', '), 'x-request-id', requestId]);
      response.end();
      request.resume();
      return;
    }
    if (routed.kind === 'failed') {
      const close = head.problem !== undefined;
      respondError(response, routed.error, { requestId, close, ...(routed.allow === undefined ? {} : { allow: routed.allow }) });
      request.resume();
      return;
    }
    const bytesMax = this.#options.requestBytesMax;
    if (head.contentLength !== undefined && head.contentLength > bytesMax) {
      // The body is not read: the connection cannot be used again.
      respondError(response, tooLarge(bytesMax), { requestId, close: true });
      return;
    }
    if (routed.stages !== undefined) {
      this.#admit(response, head, new Admission(request, { head, routed, id, requestId }, this.#callBehind), { routed, expectsContinue });
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

  /** The way of a route with stages: what they say comes before the body is asked for. */
  #admit(response: ServerResponse, head: RequestHead, admission: Admission, asked: { routed: Routed; expectsContinue: boolean }): void {
    admission.follow(response);
    const verdict = admission.headVerdict();
    if (verdict instanceof Promise) void verdict.then((later) => this.#admitted(response, head, admission, { ...asked, verdict: later }));
    else this.#admitted(response, head, admission, { ...asked, verdict });
  }

  #admitted(
    response: ServerResponse,
    head: RequestHead,
    admission: Admission,
    { routed, expectsContinue, verdict }: { routed: Routed; expectsContinue: boolean; verdict: Verdict },
  ): void {
    const request = admission.incoming;
    if (response.destroyed) return;
    if (verdict !== undefined) {
      this.#conclude(admission, response, verdict);
      return;
    }
    if (routed.to.local !== undefined) {
      const answer = admission.answerOf(routed.to.local);
      if (answer instanceof Promise) void answer.then((later) => this.#conclude(admission, response, later));
      else this.#conclude(admission, response, answer);
      return;
    }
    const { id, requestId, bodyBytesMax } = admission;
    const bytesMax = Math.min(this.#options.requestBytesMax, bodyBytesMax || Infinity);
    if (head.contentLength !== undefined && head.contentLength > bytesMax) {
      this.#conclude(admission, response, {
        error: bodyBytesMax < this.#options.requestBytesMax ? tooLargeForRoute(bytesMax, routed.route) : tooLarge(bytesMax),
      });
      return;
    }
    if (expectsContinue) response.writeContinue();
    const changed = asAdmitted(routed, admission);
    const exchange = new Exchange(request, response, requestId, bytesMax, admission);
    if (bodyBytesMax > 0) this.#readWholeBody(exchange, head, changed, { id, admission, bytesMax });
    else if (head.contentLength === 0) this.#invoke(exchange, head, changed, id, undefined, true);
    else if (head.contentLength !== undefined && head.contentLength <= BODY_CHUNK_MAX) this.#readSmallBody(exchange, head, changed, id);
    else this.#invoke(exchange, head, changed, id, undefined, false);
  }

  /** For stages that look at the body: it is theirs first, then the function's. */
  #readWholeBody(
    exchange: Exchange,
    head: RequestHead,
    routed: Routed,
    { id, admission, bytesMax }: { id: string; admission: Admission; bytesMax: number },
  ): void {
    const { request, response } = exchange;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      else {
        request.off('data', take);
        request.off('end', done);
        this.#conclude(admission, response, { error: tooLargeForRoute(bytesMax, routed.route) });
      }
    };
    const done = (): void => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      const go = (verdict: Verdict): void => {
        if (response.destroyed) return;
        if (verdict !== undefined) this.#conclude(admission, response, verdict);
        else if (body.length <= BODY_CHUNK_MAX) this.#invoke(exchange, head, routed, id, body, true);
        else {
          exchange.collected = body;
          this.#invoke(exchange, head, routed, id, undefined, false);
        }
      };
      const verdict = admission.bodyVerdict(body);
      if (verdict instanceof Promise) void verdict.then(go);
      else go(verdict);
    };
    request.on('data', take);
    request.on('end', done);
  }

  /** What a stage said instead of going on. */
  #conclude(admission: Admission, response: ServerResponse, verdict: NonNullable<Verdict>): void {
    const request = admission.incoming;
    if (isRefusal(verdict)) {
      respondError(response, verdict.error, {
        requestId: admission.requestId,
        close: !request.complete,
        admission,
        ...(verdict.headers === undefined ? {} : { headers: verdict.headers }),
      });
    } else respondLocally(response, verdict, admission);
    request.resume();
  }

  #invoke(exchange: Exchange, head: RequestHead, routed: Routed, id: string, body: Buffer | undefined, bodyEnds: boolean): void {
    if (exchange.response.destroyed) return;
    const call = this.#options.engine.invoke(callRequest(exchange, head, routed, { id, body, bodyEnds }));
    if (call instanceof VirgaError) {
      // A stage around the call may have something in its place.
      exchange.sink.failed(call, false);
      return;
    }
    exchange.call = call;
    if (exchange.admission !== undefined) exchange.admission.call = call;
  }

  /** A call for a request whose client has its answer already, or is not to wait for this one. */
  readonly #callBehind = (admission: Admission, sink: CallSink): Call | VirgaError => {
    const { incoming, requestId } = admission;
    const head = { ...admission.head, headers: [...admission.headers] };
    const routed = asAdmitted(admission.routed, admission);
    const asked = { request: incoming, requestId, heldBytes: 0, sink };
    return this.#options.engine.invoke(callRequest(asked, head, routed, { id: newId('inv'), body: undefined, bodyEnds: true }));
  };

  /** Where a request goes that is sound, and not one too many of its client. */
  #admissible(request: IncomingMessage, { host, problem }: RequestHead): RouteResult {
    const refusal =
      problem === undefined
        ? this.#options.clientLimit?.refusal(request.socket.remoteAddress ?? '')
        : new VirgaError('invalid_request', problem);
    return refusal === undefined ? this.#route(request, host) : { kind: 'failed', error: refusal };
  }

  #route(request: IncomingMessage, host: string): RouteResult {
    return route(this.#options.model, {
      method: request.method ?? 'GET',
      target: request.url ?? '/',
      host,
      headers: request.headers,
    });
  }

  /** Whether the request leaves HTTP for another protocol. Who asks for one that nobody speaks here is answered as if he had not asked, but for WebSocket. */
  #mayUpgrade(request: IncomingMessage): boolean {
    const protocol = protocolOf(request);
    if (protocol === undefined || request.method === 'OPTIONS') return false;
    // Pipelined behind a request whose answer is under way: the connection cannot become another's in the middle of it.
    if (Reflect.get(request.socket, '_httpMessage') instanceof ServerResponse) return false;
    if (protocol.toLowerCase() === 'websocket') return true;
    const routed = this.#route(request, request.headers.host || 'localhost');
    return routed.kind === 'found' && routed.to.version !== undefined && takesUpgrades(routed.to.version.settings.runtime);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    if (comesTooLate(request)) {
      socket.destroy();
      return;
    }
    this.#connections.handedOver(request.socket);
    const head = readHead(request);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const protocol = protocolOf(request) ?? '';
    const routed = this.#admissible(request, head);
    const version = this.#draining ? stoppingError() : upgradeTarget(routed, protocol);
    if (version instanceof VirgaError) {
      socket.on('error', () => {});
      socket.resume();
      respondError(responseOn(request, socket), version, { requestId, close: true });
      return;
    }
    if (version.stages === undefined) {
      this.#carry({ request, socket, first, head, requestId, id, protocol }, version);
      return;
    }
    const admission = new Admission(request, { head, routed: version, id, requestId }, this.#callBehind);
    admission.follow(socket);
    const go = (verdict: Verdict): void => {
      if (socket.destroyed) return;
      if (verdict === undefined) {
        this.#carry({ request, socket, first, head, requestId, id, protocol }, asAdmitted(version, admission));
        return;
      }
      socket.on('error', () => {});
      const response = responseOn(request, socket);
      response.shouldKeepAlive = false;
      this.#conclude(admission, response, verdict);
      socket.resume();
    };
    const verdict = admission.headVerdict();
    if (verdict instanceof Promise) void verdict.then(go);
    else go(verdict);
  }

  #carry({ request, socket, first, head, requestId, id, protocol }: UpgradeRequest, version: Routed): void {
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

interface UpgradeRequest {
  request: IncomingMessage;
  socket: Duplex;
  first: Buffer;
  head: RequestHead;
  requestId: string;
  id: string;
  protocol: string;
}

/** As its stages have left it. */
function asAdmitted(routed: Routed, { target, version }: Admission): Routed {
  return { ...routed, target, to: version === undefined ? routed.to : { version } };
}
