// How a principal travels to a function: as JSON in the meta of the request, which the forms `native` and `lambda` read, and for
// all other code as the header x-virga-principal (base64url of the same JSON; request-head.ts drops one that a client sends).
// Invariant: one principal is written once, however many requests it makes while it is remembered. Used by accept.ts.
import type { Principal } from '../protocol/principal.ts';
import { isBooted } from '../protocol/settings.ts';
import type { VersionSettings } from '../protocol/settings.ts';

const written = new WeakMap<Principal, string>();
const headers = new WeakMap<Principal, string>();
/** Programs take heads of 8 or 16 KiB in all. */
const HEADER_JSON_MAX = 4_096;

export function principalJson(principal: Principal): string {
  let text = written.get(principal);
  if (text === undefined) written.set(principal, (text = JSON.stringify(principal)));
  return text;
}

/** Without the claims where they are too many for a header; `claims: null` says so. */
export function principalHeader(principal: Principal): string {
  let header = headers.get(principal);
  if (header === undefined) {
    const whole = principalJson(principal);
    const text = whole.length <= HEADER_JSON_MAX ? whole : JSON.stringify({ ...principal, claims: null });
    headers.set(principal, (header = Buffer.from(text).toString('base64url')));
  }
  return header;
}

/** Whether the function has another way to it than the header. */
export function hasPrincipal({ runtime, form }: Pick<VersionSettings, 'runtime' | 'form'>): boolean {
  return runtime === 'provided' || (isBooted(runtime) && (form === 'native' || form === 'lambda'));
}
