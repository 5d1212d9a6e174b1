// Headers that make browsers careful, added to whatever answer leaves. Invariant: a header that the function set stays, unless
// the route says `override`; of one header there is never more than one line from here.
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { SecurityHeaderRules } from '../../protocol/policies/security-headers.ts';
import { dropHeaders } from '../flat-headers.ts';
import type { Feature, GatewayRequest, RouteSource, Stage } from '../stage.ts';

export class SecurityHeadersFeature implements Feature {
  compile({ policy }: RouteSource): Stage | undefined {
    const { securityHeaders } = policy;
    if (securityHeaders === undefined || securityHeaders === false) return undefined;
    return new SecurityHeadersStage(securityHeaders === true ? {} : securityHeaders);
  }
}

class SecurityHeadersStage implements Stage {
  readonly #names: readonly string[];
  readonly #values: readonly string[];
  readonly #place: ReadonlyMap<string, number>;
  readonly #replaced: ReadonlySet<string> | undefined;

  constructor(rules: SecurityHeaderRules) {
    const headers = headersOf(rules);
    this.#names = headers.map(([name]) => name);
    this.#values = headers.map(([, value]) => value);
    this.#place = new Map(this.#names.map((name, place) => [name, place]));
    this.#replaced = rules.override === true ? new Set(this.#names) : undefined;
  }

  onAnswer(_request: GatewayRequest, _status: number, headers: FlatHeaders): void {
    // One bit for each header that is there already.
    let there = 0;
    if (this.#replaced !== undefined) dropHeaders(headers, this.#replaced);
    else {
      for (let i = 0; i + 1 < headers.length; i += 2) {
        const place = this.#place.get(headers[i]!.toLowerCase());
        if (place !== undefined) there |= 1 << place;
      }
    }
    for (let i = 0; i < this.#names.length; i++) if ((there & (1 << i)) === 0) headers.push(this.#names[i]!, this.#values[i]!);
  }
}

function headersOf(rules: SecurityHeaderRules): [name: string, value: string][] {
  const { frameOptions = 'SAMEORIGIN' } = rules;
  const ancestors = { DENY: "; frame-ancestors 'none'", SAMEORIGIN: "; frame-ancestors 'self'" };
  const policy = `default-src 'self'; base-uri 'self'; form-action 'self'; object-src 'none'${frameOptions === false ? '' : ancestors[frameOptions]}`;
  const all: [string, string | false | undefined][] = [
    ['x-content-type-options', rules.contentTypeOptions ?? 'nosniff'],
    ['referrer-policy', rules.referrerPolicy ?? 'strict-origin-when-cross-origin'],
    ['x-frame-options', frameOptions],
    ['content-security-policy', rules.contentSecurityPolicy ?? policy],
    ['permissions-policy', rules.permissionsPolicy ?? 'camera=(), geolocation=(), microphone=(), payment=(), usb=()'],
    ['cross-origin-opener-policy', rules.crossOriginOpenerPolicy ?? 'same-origin'],
    ['cross-origin-resource-policy', rules.crossOriginResourcePolicy],
    ['cross-origin-embedder-policy', rules.crossOriginEmbedderPolicy],
  ];
  return all.filter((header): header is [string, string] => typeof header[1] === 'string');
}
