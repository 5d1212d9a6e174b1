// Requests that leave HTTP for another protocol, on their way to what takes them: a stage (WebSockets that live at the gateway) or
// a program (upgrade.ts). Invariant: they are routed, limited, admitted and logged as all requests are. Made by accept.ts.
import { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Call, CallSink } from '../functions/call.ts';
import type { Engine } from '../functions/engine.ts';
import { stoppingError } from '../functions/failures.ts';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { AccessLog, UpgradeEntry } from './access-log/access-log.ts';
import { Admission, asAdmitted } from './admit.ts';
import { callRequest } from './call-request.ts';
import type { Front } from './front.ts';
import { comesTooLate } from './last-answer.ts';
import { readHead } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { conclude, respondError } from './respond.ts';
import type { Routed, RouteResult } from './route.ts';
import type { Verdict } from './stage.ts';
import { UpgradeExchange, protocolOf, responseOn, takesUpgrades, upgradeTarget } from './upgrade.ts';

/** What the gateway has that these need. */
export interface UpgradeOptions {
  engine: Engine;
  front: Front;
  accessLog: AccessLog | undefined;
  isDraining: () => boolean;
  route: (request: IncomingMessage, host: string) => RouteResult;
  /** The same for a request that is sound, and not one too many of its client. */
  admissible: (request: IncomingMessage, head: RequestHead) => RouteResult;
  callBehind: (admission: Admission, sink: CallSink) => Call | VirgaError;
}

interface UpgradeRequest {
  request: IncomingMessage;
  socket: Duplex;
  first: Buffer;
  head: RequestHead;
  requestId: string;
  id: string;
  protocol: string;
  entry: UpgradeEntry | undefined;
}

export class Upgrades {
  readonly #options: UpgradeOptions;
  readonly #carried = new Set<UpgradeExchange>();

  constructor(options: UpgradeOptions) {
    this.#options = options;
  }

  drain(): void {
    for (const upgrade of this.#carried) upgrade.drain(stoppingError());
  }

  close(): void {
    for (const upgrade of this.#carried) upgrade.close();
  }

  /** Whether the request leaves HTTP for another protocol. Who asks for one that nobody speaks here is answered as if he had not asked, but for WebSocket. */
  may(request: IncomingMessage): boolean {
    const protocol = protocolOf(request);
    if (protocol === undefined || request.method === 'OPTIONS') return false;
    // Pipelined behind a request whose answer is under way: the connection cannot become another's in the middle of it.
    if (Reflect.get(request.socket, '_httpMessage') instanceof ServerResponse) return false;
    if (protocol.toLowerCase() === 'websocket') return true;
    const routed = this.#options.route(request, request.headers.host || 'localhost');
    return routed.kind === 'found' && routed.to.version !== undefined && takesUpgrades(routed.to.version.settings.runtime);
  }

  accept(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    if (comesTooLate(request)) {
      socket.destroy();
      return;
    }
    const { front } = this.#options;
    front.handedOver(request.socket);
    const head = readHead(request, front.proxies);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const protocol = protocolOf(request) ?? '';
    const routed = this.#options.admissible(request, head);
    const entry = this.#options.accessLog?.beginUpgrade(request, socket, head, requestId);
    if (entry !== undefined) entry.routed = routed;
    const version = this.#options.isDraining() ? stoppingError() : upgradeTarget(routed, protocol);
    if (version instanceof VirgaError) {
      socket.on('error', () => {});
      socket.resume();
      const response = responseOn(request, socket);
      if (entry !== undefined) entry.status = () => response.statusCode;
      respondError(response, version, { requestId, close: true });
      return;
    }
    const asked = { request, socket, first, head, requestId, id, protocol, entry };
    if (version.stages === undefined) {
      this.#carry(asked, version);
      return;
    }
    const admission = new Admission(request, { head, routed: version, id, requestId }, this.#options.callBehind);
    if (entry !== undefined) entry.admission = admission;
    admission.follow(socket);
    const go = (verdict: Verdict): void => {
      if (socket.destroyed) return;
      if (verdict !== undefined) refuse(verdict);
      else if (version.stages?.upgrade !== undefined) {
        if (entry !== undefined) entry.status = () => 101;
        version.stages.upgrade.onUpgrade!(admission, { socket, first, refuse });
      } else this.#carry(asked, asAdmitted(version, admission));
    };
    const refuse = (verdict: NonNullable<Verdict>): void => {
      socket.on('error', () => {});
      const response = responseOn(request, socket);
      if (entry !== undefined) entry.status = () => response.statusCode;
      response.shouldKeepAlive = false;
      conclude(admission, response, verdict);
      socket.resume();
    };
    const verdict = admission.bodilessVerdict();
    if (verdict instanceof Promise) void verdict.then(go);
    else go(verdict);
  }

  #carry({ request, socket, first, head, requestId, id, protocol, entry }: UpgradeRequest, version: Routed): void {
    head.headers.push('connection', 'Upgrade', 'upgrade', protocol);
    const exchange = new UpgradeExchange(request, socket, first, requestId);
    if (entry !== undefined) entry.status = () => exchange.status;
    this.#carried.add(exchange);
    socket.on('close', () => this.#carried.delete(exchange));
    const call = this.#options.engine.invoke({
      ...callRequest(exchange, head, version, { id, body: undefined, bodyEnds: false }),
      upgrade: true,
    });
    if (call instanceof VirgaError) exchange.failed(call, false);
    else exchange.call = call;
  }
}
