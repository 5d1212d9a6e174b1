// CORS of a route, as https://fetch.spec.whatwg.org/#http-cors-protocol has it: preflights are answered here, and whatever
// answer leaves carries the permission of the page that asked. Invariant: what the function says of CORS itself is replaced,
// and an origin that is not allowed gets no permission but the same answer otherwise: the browser is who refuses.
import { durationMs } from '../../lib/units.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { CorsRules } from '../../protocol/policies/cors.ts';
import { addVary, dropHeaders } from '../flat-headers.ts';
import { OriginList } from '../origin-list.ts';
import type { Feature, GatewayRequest, LocalAnswer, RouteSource, Stage } from '../stage.ts';

const MAX_AGE_MS = 600_000;
const PERMISSIONS = new Set([
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
]);

export class CorsFeature implements Feature {
  compile({ policy }: RouteSource): Stage | undefined {
    return policy.cors === undefined || policy.cors === false ? undefined : new CorsStage(policy.cors);
  }
}

class CorsStage implements Stage {
  readonly #rules: CorsRules;
  readonly #origins: OriginList;
  readonly #maxAgeS: string;

  constructor(rules: CorsRules) {
    this.#rules = rules;
    this.#origins = new OriginList(rules.origins);
    this.#maxAgeS = String(Math.floor((durationMs(rules.maxAge ?? '') ?? MAX_AGE_MS) / 1_000));
  }

  onPreflight(request: GatewayRequest, allow: readonly string[]): LocalAnswer {
    const headers: FlatHeaders = [];
    const asked = request.header('access-control-request-headers');
    if (this.#allowed(request.header('origin'))) {
      const { methods = allow, headers: names } = this.#rules;
      const listed = names?.join(', ') ?? asked;
      headers.push('access-control-allow-methods', methods.join(', '));
      if (listed !== undefined && listed !== '') headers.push('access-control-allow-headers', listed);
      headers.push('access-control-max-age', this.#maxAgeS);
    }
    addVary(headers, 'access-control-request-method');
    addVary(headers, 'access-control-request-headers');
    return { status: 204, headers };
  }

  onAnswer(request: GatewayRequest, _status: number, headers: FlatHeaders): void {
    const isPreflight = request.method === 'OPTIONS' && request.header('access-control-request-method') !== undefined;
    if (!isPreflight) dropHeaders(headers, PERMISSIONS);
    const origin = request.header('origin');
    const { credentials = false, expose } = this.#rules;
    const { any } = this.#origins;
    if (!any) addVary(headers, 'origin');
    if (!this.#allowed(origin)) return;
    headers.push('access-control-allow-origin', any ? '*' : origin!);
    if (credentials) headers.push('access-control-allow-credentials', 'true');
    if (expose !== undefined && !isPreflight) headers.push('access-control-expose-headers', expose.join(', '));
  }

  #allowed(origin: string | undefined): boolean {
    return origin !== undefined && this.#origins.has(origin);
  }
}
