// What a known principal must have beside being known: scopes, and claims with certain values. Compiled once per deployment.
// Invariant: a claim that is not there, or is of another kind than the one that is asked for, is lacking. Used by expression.ts.
import type { Principal } from '../../protocol/principal.ts';
import type { Requirements } from '../../protocol/policies/authenticators.ts';
import type { Finding, Known } from './authenticator.ts';

/** undefined: nothing more is asked for. */
export type Requirement = (known: Known) => Finding;

export function requirementOf({ scopes = [], claims = {} }: Requirements): Requirement | undefined {
  const wanted = Object.entries(claims).map(([name, value]) => ({ name, values: Array.isArray(value) ? value : [value] }));
  if (scopes.length === 0 && wanted.length === 0) return undefined;
  return (known) => {
    const { principal, scheme } = known;
    const missing = scopes.filter((scope) => !principal.scopes.includes(scope));
    if (missing.length > 0) return { kind: 'forbidden', scheme, scopes, reason: `the caller lacks the scope ${missing.join(', ')}` };
    const lacking = wanted.find(({ name, values }) => !hasOneOf(claimOf(principal, name), values));
    return lacking === undefined
      ? known
      : { kind: 'forbidden', scheme, reason: `the caller lacks the claim ${lacking.name} with a value that is asked for` };
  };
}

/** A claim of this very name, or a key inside a key. */
function claimOf({ claims }: Principal, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const key of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function hasOneOf(claim: unknown, values: readonly unknown[]): boolean {
  return Array.isArray(claim) ? claim.some((one) => values.includes(one)) : values.includes(claim);
}
