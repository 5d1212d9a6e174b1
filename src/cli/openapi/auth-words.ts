// Security schemes and requirements of an OpenAPI document as `gateway.auth` and `auth` of a route. Invariant: nothing is opened by a
// guess: what a scheme does not say (an audience, an issuer) is missing from the result, and the reader is told. Pure.
import { isObject } from '../../lib/json-schema/refs.ts';
import type { Auth } from '../../protocol/policies/auth.ts';
import { kebabName } from '../import/project.ts';

export interface Authenticator {
  /** As it stands under `gateway.auth`; undefined: it cannot be told from the document. */
  written: Record<string, unknown> | undefined;
  /** What is missing; empty: nothing. */
  lacks: string;
}

export function authenticatorOf(scheme: unknown): Authenticator {
  if (!isObject(scheme)) return { written: undefined, lacks: 'expected a security scheme' };
  const { type, in: where, name, scheme: http, openIdConnectUrl } = scheme;
  if (type === 'apiKey' && typeof name === 'string' && ['header', 'cookie', 'query'].includes(String(where)))
    return { written: { keys: { from: [`${String(where)}:${where === 'header' ? name.toLowerCase() : name}`] } }, lacks: '' };
  if (type === 'openIdConnect' && typeof openIdConnectUrl === 'string') {
    const issuer = openIdConnectUrl.replace(/\/\.well-known\/openid-configuration$/, '');
    return { written: undefined, lacks: `write jwt: {issuer: ${issuer}, audience: …}: the audience is not in the document` };
  }
  if (type === 'http' && String(http).toLowerCase() === 'bearer')
    return { written: undefined, lacks: 'write jwt: {issuer: …, audience: …}: neither is in the document' };
  if (type === 'oauth2')
    return { written: undefined, lacks: 'write jwt: {issuer: …, audience: …} for the tokens of its authorization server' };
  if (type === 'mutualTLS') return { written: undefined, lacks: 'write which client certificates are trusted' };
  return { written: undefined, lacks: `Virga has no counterpart for ${String(http ?? type)}; check who calls in the function` };
}

/** Names under `gateway.auth` for those of the document. */
export function authName(scheme: string): string {
  return kebabName(scheme);
}

/** `auth` of a route. */
export function authOf(security: readonly Record<string, string[]>[]): Auth {
  const alternatives = security.map((needed) => {
    const all = Object.entries(needed).map(([name, scopes]) => (scopes.length === 0 ? authName(name) : { use: authName(name), scopes }));
    return all.length === 1 ? all[0]! : { all };
  });
  return alternatives.length === 1 ? alternatives[0]! : { any: alternatives };
}
