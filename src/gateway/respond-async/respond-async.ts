// `Prefer: respond-async` (RFC 7240) as a stage: the request is stored instead of called, and the client gets 202 with a URL where the
// outcome will be. Only for functions that declare `async`: nobody fills the disk of a project that never wanted this; elsewhere the
// preference is ignored, as it may be. Invariant: 202 is answered when the invocation is durable, and not before.
// Called by accept.ts through admit.ts.
import { createHash } from 'node:crypto';
import type { CallRequest } from '../../functions/call.ts';
import { idempotencyKeyOf, tooLarge } from '../../events/async/accept.ts';
import type { AsyncAcceptor } from '../../events/async/accept.ts';
import type { AsyncRequest } from '../../events/async/request.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { AsyncRules } from '../../protocol/sources/async.ts';
import { headerIn } from '../flat-headers.ts';
import type { Deferral, Feature, GatewayRequest, LocalAnswer, Refusal, RouteSource, Stage } from '../stage.ts';
import { principalText, statusFolder } from './status-routes.ts';
import type { StatusServices } from './status-routes.ts';

export interface RespondAsyncServices extends StatusServices {
  acceptor: Pick<AsyncAcceptor, 'accept' | 'requestBytesMax'>;
}

const PREFERENCE = /(?:^|,)\s*respond-async\s*(?:[,;]|$)/i;
const RETRY_AFTER_S = '1';

export class RespondAsyncFeature implements Feature {
  readonly #services: RespondAsyncServices;

  constructor(services: RespondAsyncServices) {
    this.#services = services;
  }

  compile({ async, policy, gateway }: RouteSource): Stage | undefined {
    if (async === undefined || policy.websocket !== undefined) return undefined;
    const folder = statusFolder(policy, gateway).path;
    const { requestBytesMax } = this.#services.acceptor;
    return {
      instead: (request): Deferral | undefined => {
        const prefer = request.header('prefer');
        if (prefer === undefined || !PREFERENCE.test(prefer)) return undefined;
        return {
          bodyBytesMax: requestBytesMax,
          tooLarge: () => tooLarge(requestBytesMax),
          take: (call, body) => this.#take(request, { call, body, rules: async, folder }),
        };
      },
    };
  }

  async #take(
    request: GatewayRequest,
    { call, body, rules, folder }: { call: CallRequest; body: Buffer; rules: AsyncRules; folder: string },
  ): Promise<LocalAnswer | Refusal> {
    const principal = request.principal === undefined ? undefined : principalText(request.principal);
    try {
      const key = idempotencyKeyOf(request.header('idempotency-key'));
      const { id, state } = await this.#services.acceptor.accept({
        project: request.project,
        function: call.version.function,
        rules,
        request: asyncRequest(call, body),
        source: 'http',
        ...(principal === undefined ? {} : { principal }),
        // One caller's keys say nothing of another's.
        ...(key === undefined ? {} : { idempotency: { scope: scopeOf(principal), key } }),
      });
      const status = `${request.prefix}${folder}/${id}`;
      const headers = ['content-type', 'application/json', 'location', status, 'preference-applied', 'respond-async'];
      headers.push('retry-after', RETRY_AFTER_S, 'cache-control', 'no-store');
      return { status: 202, headers, body: Buffer.from(JSON.stringify({ id, state, status })) };
    } catch (error) {
      if (error instanceof VirgaError) return { error };
      return { error: new VirgaError('unavailable', 'the request could not be stored; try again', { cause: error }) };
    }
  }
}

/** Of a set length: it is part of an index. */
function scopeOf(principal: string | undefined): string {
  return principal === undefined ? 'http' : `http ${createHash('sha256').update(principal).digest('hex')}`;
}

function asyncRequest({ meta, version }: CallRequest, body: Buffer): AsyncRequest {
  if (meta.kind !== 'http') throw new VirgaError('internal', `a request for function '${version.function}' is none`);
  const { method, url, headers, route, params, client, principal } = meta;
  return {
    contentType: headerIn(headers, 'content-type') ?? 'application/octet-stream',
    traceparent: meta.trace,
    http: { method, url, headers, route, params, client, ...(principal === undefined ? {} : { principal }) },
    body,
  };
}
