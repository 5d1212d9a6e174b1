// Plain requests of a project that wants HTTPS are sent on to it, and answers by HTTPS say that there is nothing else (HSTS).
// Invariant: nothing of HSTS is said by plain HTTP, where anybody could have written it (RFC 6797, section 7.2), nor twice.
import { durationMs } from '../../lib/units.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { HstsRules } from '../../protocol/policies/https.ts';
import { dropHeaders } from '../flat-headers.ts';
import { secureUrl } from '../respond.ts';
import type { Feature, GatewayRequest, RouteSource, Stage, Verdict } from '../stage.ts';

const HSTS = new Set(['strict-transport-security']);

export class HttpsFeature implements Feature {
  readonly #port: number;

  /** `port`: that of HTTPS, as clients see it. */
  constructor({ port }: { port: number }) {
    this.#port = port;
  }

  compile({ gateway: { https, hsts } }: RouteSource): Stage | undefined {
    if (https !== 'redirect' && hsts === undefined) return undefined;
    const port = this.#port;
    return {
      ...(https === 'redirect' ? { onHead: (request: GatewayRequest) => sentOn(request, port) } : {}),
      ...(hsts === undefined ? {} : { onAnswer: saying(hsts) }),
    };
  }
}

function sentOn(request: GatewayRequest, port: number): Verdict {
  if (request.scheme === 'https') return undefined;
  const location = secureUrl({ host: request.host, port, target: request.incoming.url ?? '/' });
  if (location !== undefined) return { status: 308, headers: ['location', location] };
  return { error: new VirgaError('invalid_request', `the Host header '${request.host.slice(0, 200)}' is not a host`) };
}

function saying({ maxAge, includeSubdomains, preload }: HstsRules): NonNullable<Stage['onAnswer']> {
  const seconds = Math.floor((durationMs(maxAge) ?? 0) / 1_000);
  const value = `max-age=${seconds}${includeSubdomains === true ? '; includeSubDomains' : ''}${preload === true ? '; preload' : ''}`;
  return (request: GatewayRequest, _status: number, headers: FlatHeaders) => {
    dropHeaders(headers, HSTS);
    if (request.scheme === 'https') headers.push('strict-transport-security', value);
  };
}
