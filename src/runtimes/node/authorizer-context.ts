// The principal of a request as AWS API Gateway tells it to Lambda code: `requestContext.authorizer`. Invariant: claims of tokens
// are texts there, whatever they were in the token (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html);
// the same shapes as in the Python guest (virga_guest/authorizer.py). Called by api-gateway.ts and forms/lambda/rest-api.ts.
import type { HttpRequestMeta } from '../../protocol/frames.ts';

interface Principal {
  kind: string;
  id: string;
  plan?: string;
  scopes: string[];
  claims: Record<string, unknown>;
}

export function principalOf(meta: HttpRequestMeta): Principal | undefined {
  return meta.principal === undefined ? undefined : (JSON.parse(meta.principal) as Principal);
}

/** Payload format 2.0; undefined: nobody was asked for. */
export function authorizerOf(principal: Principal | undefined): Record<string, unknown> | undefined {
  if (principal === undefined) return undefined;
  if (principal.kind === 'jwt')
    return { jwt: { claims: texts(principal.claims), scopes: principal.scopes.length === 0 ? null : principal.scopes } };
  return { lambda: contextOf(principal) };
}

/** Payload format 1.0. */
export function restAuthorizerOf(principal: Principal | undefined): Record<string, unknown> {
  if (principal === undefined) return { claims: null, scopes: null };
  if (principal.kind === 'jwt') return { claims: texts(principal.claims), scopes: principal.scopes.length === 0 ? null : principal.scopes };
  return { ...contextOf(principal), integrationLatency: 0 };
}

function contextOf({ id, plan, scopes, claims }: Principal): Record<string, unknown> {
  return {
    ...claims,
    principalId: id,
    ...(plan === undefined ? {} : { usageIdentifierKey: plan }),
    ...(scopes.length === 0 ? {} : { scopes: scopes.join(' ') }),
  };
}

function texts(claims: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(claims).map(([name, value]) => [name, textOf(value)]));
}

/** A list as `[a b]`. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return `[${value.map(textOf).join(' ')}]`;
  return JSON.stringify(value);
}
