// The front door: accepts a request, finds its version (route.ts), takes it through the stages of its route (admit.ts), reads a
// small body, hands it to the engine, and lets exchange.ts carry the answer. This is the top of the hot path: accept → route →
// admit → engine.invoke → instance.run → guest.
// Invariant: nothing here waits on anything but the client, the stages and the engine. Made by server/edge.ts.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server } from 'node:net';
import type { Call, CallSink } from '../functions/call.ts';
import type { Engine } from '../functions/engine.ts';
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import { BODY_CHUNK_MAX } from '../protocol/frames.ts';
import type { AccessLog } from './access-log/access-log.ts';
import { Admission, asAdmitted } from './admit.ts';
import { callRequest } from './call-request.ts';
import { headTooLarge } from './doors/http-servers.ts';
import { Exchange, tooLarge, tooLargeForRoute } from './exchange.ts';
import { Front } from './front.ts';
import type { FrontOptions } from './front.ts';
import { comesTooLate } from './last-answer.ts';
import type { ReadModel } from './read-model.ts';
import { readHead } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { conclude, respondError, respondRedirect } from './respond.ts';
import { route } from './route.ts';
import type { Routed, RouteResult } from './route.ts';
import type { Deferral, LocalTarget, Verdict } from './stage.ts';
import type { ClientLimit } from './throttle/client-limit.ts';
import { Upgrades } from './upgrades.ts';

export interface GatewayOptions extends FrontOptions {
  engine: Engine;
  model: ReadModel;
  requestBytesMax: number;
  /** What is to be answered to an ACME server that asks for this token (http-01); undefined: the request is one like others. */
  httpChallenge?: (token: string) => Promise<string | undefined>;
  /** Plain requests are sent on to HTTPS, on this port. */
  redirectToPort?: number;
  accessLog?: AccessLog;
  /** Of the node, for each client address; absent: none. */
  clientLimit?: ClientLimit;
}

/** Of a call that is not made. */
const NOBODY: CallSink = { bodyWanted() {}, head() {}, body() {}, failed() {} };
const NO_BODY = Buffer.alloc(0);
const CHALLENGE_PATH = '/.well-known/acme-challenge/';

export class Gateway {
  readonly #options: GatewayOptions;
  readonly #front: Front;
  readonly #upgrades: Upgrades;
  #draining = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#front = new Front(options, {
      accept: (request, response, expectsContinue) => this.#accept(request, response, expectsContinue),
      upgrade: (request, socket, first) => this.#upgrades.accept(request, socket, first),
      mayUpgrade: (request) => this.#upgrades.may(request),
    });
    this.#upgrades = new Upgrades({
      engine: options.engine,
      front: this.#front,
      accessLog: options.accessLog,
      isDraining: () => this.#draining,
      route: (request, host) => this.#route(request, host),
      admissible: (request, head) => this.#admissible(request, head),
      callBehind: this.#callBehind,
    });
  }

  /** The plain door. */
  get server(): Server {
    return this.#front.plain;
  }

  /** HTTPS; undefined: there is none. */
  get secure(): Server | undefined {
    return this.#front.secure;
  }

  /** No new connections; answers from now on close theirs. Calls in flight go on. */
  drain(): void {
    this.#draining = true;
    this.#front.drain();
    this.#upgrades.drain();
  }

  /** Resolves when every connection is closed, at the latest after `timeoutMs`. */
  async flushed(timeoutMs: number): Promise<void> {
    await this.#front.flushed(timeoutMs);
  }

  close(): void {
    this.#front.close();
    this.#upgrades.close();
  }

  /** `isAsked`: it was looked whether this is a challenge, and it is none. */
  #accept(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean, isAsked = false): void {
    if (comesTooLate(request)) {
      request.resume();
      return;
    }
    if (this.#draining) response.shouldKeepAlive = false;
    this.#front.used(request, response);
    const head = readHead(request, this.#front.proxies);
    const id = newId('inv');
    const requestId = head.requestId ?? id;
    const { httpChallenge, redirectToPort } = this.#options;
    if (httpChallenge !== undefined && request.url?.startsWith(CHALLENGE_PATH) === true && !isAsked) {
      void this.#answerChallenge(request, response, { httpChallenge, expectsContinue });
      return;
    }
    const entry = this.#options.accessLog?.begin(request, response, head, requestId);
    const excess = headTooLarge(request, this.#front.limits);
    if (excess !== undefined) {
      respondError(response, excess, { requestId, close: true });
      request.resume();
      return;
    }
    if (redirectToPort !== undefined && head.scheme === 'http') {
      respondRedirect(response, { host: head.host, port: redirectToPort, target: request.url ?? '/' }, requestId);
      request.resume();
      return;
    }
    const routed = this.#admissible(request, head);
    if (entry !== undefined) entry.routed = routed;
    if (routed.kind === 'preflight') {
      const admission = new Admission(request, { head, routed: routed.routed, id, requestId }, this.#callBehind);
      conclude(admission, response, admission.preflightAnswer(routed.allow));
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
      const admission = new Admission(request, { head, routed, id, requestId }, this.#callBehind);
      if (entry !== undefined) entry.admission = admission;
      this.#admit(response, head, admission, { routed, expectsContinue });
      return;
    }
    if (expectsContinue) response.writeContinue();
    const exchange = new Exchange(request, response, requestId, bytesMax);
    if (head.contentLength === 0) this.#invoke(exchange, head, routed, id, undefined, true);
    else if (head.contentLength !== undefined && head.contentLength <= BODY_CHUNK_MAX) this.#readSmallBody(exchange, head, routed, id);
    else this.#invoke(exchange, head, routed, id, undefined, false);
  }

  /** https://www.rfc-editor.org/rfc/rfc8555#section-8.3 */
  async #answerChallenge(
    request: IncomingMessage,
    response: ServerResponse,
    { httpChallenge, expectsContinue }: { httpChallenge: (token: string) => Promise<string | undefined>; expectsContinue: boolean },
  ): Promise<void> {
    const proof = await httpChallenge(request.url!.slice(CHALLENGE_PATH.length));
    if (response.destroyed) return;
    if (proof === undefined) {
      this.#accept(request, response, expectsContinue, true);
      return;
    }
    response.writeHead(200, ['content-type', 'application/octet-stream', 'content-length', String(proof.length)]);
    response.end(proof);
    request.resume();
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
      conclude(admission, response, verdict);
      return;
    }
    const { id, requestId, bodyBytesMax } = admission;
    const wantedMax = routed.to.local?.bodyBytesMax ?? 0;
    if (routed.to.local !== undefined && bodyBytesMax + wantedMax === 0) {
      answerLocally(admission, response, { target: routed.to.local, body: NO_BODY });
      return;
    }
    const deferral = routed.to.local === undefined ? admission.deferral() : undefined;
    const bodyMax = Math.min(bodyBytesMax || Infinity, wantedMax || Infinity);
    const limits = [this.#options.requestBytesMax, bodyMax, deferral?.bodyBytesMax ?? Infinity] as const;
    const bytesMax = Math.min(...limits);
    const excess = (): VirgaError => {
      if (deferral !== undefined && bytesMax === limits[2]) return deferral.tooLarge();
      return bytesMax === limits[1] ? tooLargeForRoute(bytesMax, routed.route) : tooLarge(bytesMax);
    };
    if (head.contentLength !== undefined && head.contentLength > bytesMax) {
      conclude(admission, response, { error: excess() });
      return;
    }
    if (expectsContinue) response.writeContinue();
    if (bodyBytesMax + wantedMax > 0 || deferral !== undefined) {
      this.#readWholeBody(response, head, admission, { routed, bytesMax, excess, deferral });
      return;
    }
    const changed = asAdmitted(routed, admission);
    const exchange = new Exchange(request, response, requestId, bytesMax, admission);
    if (head.contentLength === 0) this.#invoke(exchange, head, changed, id, undefined, true);
    else if (head.contentLength !== undefined && head.contentLength <= BODY_CHUNK_MAX) this.#readSmallBody(exchange, head, changed, id);
    else this.#invoke(exchange, head, changed, id, undefined, false);
  }

  /** For stages that look at the body: it is theirs first, and of those behind them, then the function's. */
  #readWholeBody(
    response: ServerResponse,
    head: RequestHead,
    admission: Admission,
    { routed, bytesMax, excess, deferral }: { routed: Routed; bytesMax: number; excess: () => VirgaError; deferral: Deferral | undefined },
  ): void {
    const { incoming: request, id, requestId } = admission;
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      else {
        request.off('data', take);
        request.off('end', done);
        conclude(admission, response, { error: excess() });
      }
    };
    const done = (): void => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      const go = (verdict: Verdict): void => {
        if (response.destroyed) return;
        if (verdict !== undefined) {
          conclude(admission, response, verdict);
          return;
        }
        if (routed.to.local !== undefined) {
          answerLocally(admission, response, { target: routed.to.local, body });
          return;
        }
        const changed = asAdmitted(routed, admission);
        if (deferral !== undefined) {
          const made = callRequest({ request, requestId, heldBytes: 0, sink: NOBODY }, head, changed, { id, body, bodyEnds: true });
          void deferral.take(made, body).then((answer) => {
            if (!response.destroyed) conclude(admission, response, answer);
          });
          return;
        }
        const exchange = new Exchange(request, response, requestId, bytesMax, admission);
        if (body.length <= BODY_CHUNK_MAX) this.#invoke(exchange, head, changed, id, body, true);
        else {
          exchange.collected = body;
          this.#invoke(exchange, head, changed, id, undefined, false);
        }
      };
      const verdict = admission.bodyVerdict(body);
      if (verdict instanceof Promise) void verdict.then(go);
      else go(verdict);
    };
    // The stream of a request that has no body has ended already, in silence.
    if (head.contentLength === 0) {
      done();
      return;
    }
    request.on('data', take);
    request.on('end', done);
  }

  #invoke(exchange: Exchange, head: RequestHead, routed: Routed, id: string, body: Buffer | undefined, bodyEnds: boolean): void {
    if (exchange.response.destroyed) return;
    const made = callRequest(exchange, head, routed, { id, body, bodyEnds });
    exchange.admission?.calling(made);
    const call = this.#options.engine.invoke(made);
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
  #admissible(request: IncomingMessage, { host, client, problem }: RequestHead): RouteResult {
    const refusal = problem === undefined ? this.#options.clientLimit?.refusal(client) : new VirgaError('invalid_request', problem);
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
}

function answerLocally(admission: Admission, response: ServerResponse, { target, body }: { target: LocalTarget; body: Buffer }): void {
  const answer = admission.answerOf(target, body);
  if (answer instanceof Promise) void answer.then((later) => conclude(admission, response, later));
  else conclude(admission, response, answer);
}
