// What an authenticator finds out about a request, and how that becomes a refusal: 401 with what would make the caller known
// (RFC 9110, section 11.6.1; RFC 6750, section 3), 403 where it is known and may not, 5xx where it could not be found out.
// Implemented by keys.ts, jwt/, webhook/, authorizer/; joined by expression.ts.
import { VirgaError } from '../../protocol/errors.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { Principal } from '../../protocol/principal.ts';
import type { GatewayRequest, Refusal } from '../stage.ts';

export interface Known {
  kind: 'known';
  principal: Principal;
  /** How the principal showed itself, for the challenge of a 403. */
  scheme: ChallengeScheme;
}

/** Nobody was found. `reason`: what was wrong with what came; undefined: nothing came. */
export interface Unknown {
  kind: 'unknown';
  scheme: ChallengeScheme;
  reason?: string;
}

/** Somebody was found, who may not do this. */
export interface Forbidden {
  kind: 'forbidden';
  scheme: ChallengeScheme;
  reason: string;
  /** Those that are asked for. */
  scopes?: readonly string[];
}

export interface Failed {
  kind: 'failed';
  error: VirgaError;
}

/** It takes the body to tell. */
export interface Pending {
  kind: 'pending';
}

export type Finding = Known | Unknown | Forbidden | Failed | Pending;

export interface Authenticator {
  /** `body`: the whole of it; undefined while only the head is there. Never throws but by mistake of ours. */
  check(request: GatewayRequest, body: Buffer | undefined): Finding | Promise<Finding>;
  /** Reads bodies, at most of this size. */
  readonly bodyBytesMax?: number;
  /** What was found turned out to have no effect: the request failed, and the same one may come again. */
  forget?(request: GatewayRequest): void;
}

export interface ChallengeScheme {
  /** e.g. `Bearer`. */
  name: string;
  /** Beside the realm, e.g. the header that carries it. */
  params?: Record<string, string>;
}

export const PENDING: Pending = Object.freeze({ kind: 'pending' });
export const BEARER: ChallengeScheme = Object.freeze({ name: 'Bearer' });

/** `findings`: none of them known, at least one. */
export function refusalOf(findings: readonly Exclude<Finding, Known | Pending>[], realm: string): Refusal {
  const failed = findings.find((finding) => finding.kind === 'failed');
  const forbidden = findings.find((finding) => finding.kind === 'forbidden');
  if (forbidden !== undefined) return refusal('caller_not_allowed', forbidden.reason, [challengeOf(forbidden, realm)]);
  // Whether the caller is known could not be found out: 401 would make it throw away what may be good.
  if (failed !== undefined) return { error: failed.error };
  const unknown = findings.filter((finding) => finding.kind === 'unknown');
  const reasons = [...new Set(unknown.flatMap(({ reason }) => reason ?? []))];
  const text = reasons.length === 0 ? `this needs ${wanted(unknown)}` : reasons.join('; ');
  return refusal('caller_unknown', text, [...new Set(unknown.map((finding) => challengeOf(finding, realm)))]);
}

function refusal(code: 'caller_unknown' | 'caller_not_allowed', message: string, challenges: string[]): Refusal {
  const headers: FlatHeaders = [];
  for (const challenge of challenges) headers.push('www-authenticate', challenge);
  return { error: new VirgaError(code, message), headers };
}

function wanted(unknown: readonly Unknown[]): string {
  const places = unknown.map(({ scheme }) => {
    const { header, cookie, query } = scheme.params ?? {};
    if (header !== undefined) return `the header ${header}`;
    if (cookie !== undefined) return `the cookie ${cookie}`;
    if (query !== undefined) return `the query parameter ${query}`;
    if (scheme.name === 'Certificate') return 'a certificate of the client (mutual TLS)';
    return `a token, as \`Authorization: ${scheme.name} …\``;
  });
  return [...new Set(places)].join(', or ');
}

function challengeOf(finding: Unknown | Forbidden, realm: string): string {
  const params: Record<string, string> = { realm, ...finding.scheme.params };
  // Without anything to go by there is no error to name (RFC 6750, section 3.1).
  if (finding.kind === 'unknown' && finding.reason !== undefined)
    Object.assign(params, { error: 'invalid_token', error_description: finding.reason });
  if (finding.kind === 'forbidden') {
    Object.assign(params, { error: 'insufficient_scope', error_description: finding.reason });
    if (finding.scopes !== undefined) params['scope'] = finding.scopes.join(' ');
  }
  const text = Object.entries(params).map(([name, value]) => `${name}="${quotable(value)}"`);
  return `${finding.scheme.name} ${text.join(', ')}`;
}

/** What may stand in a quoted string, and in error_description (RFC 6750, section 3). */
function quotable(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .slice(0, 300);
}
