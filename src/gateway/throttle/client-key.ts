// Under which key a request is counted. Invariant: an IPv4 address costs nothing, and an IPv6 client is its /64: the rest of
// the address is for the client to choose. Pure; used by throttle.ts and client-limit.ts.
import { createHash } from 'node:crypto';
import { SUBJECT_LENGTH_MAX } from '../../protocol/usage.ts';
import type { GatewayRequest } from '../stage.ts';

/** `203.0.113.7` → itself, `::ffff:203.0.113.7` → `203.0.113.7`, `2001:db8:1:2:3::4` → `2001:db8:1:2::/64`. */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  const zone = address.indexOf('%');
  const [front = '', back] = (zone < 0 ? address : address.slice(0, zone)).split('::');
  const groups = front === '' ? [] : front.split(':');
  if (back !== undefined) {
    const last = back === '' ? [] : back.split(':');
    while (groups.length + last.length < 8) groups.push('0');
    groups.push(...last);
  }
  return `${groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}

/** Who is counted, also in the records. */
export function subjectOf(request: GatewayRequest): string {
  const { principal } = request;
  return bounded(principal === undefined ? `ip:${addressKey(request.client)}` : `${principal.kind}:${principal.id}`);
}

/** What can be stored, listed and printed as it is. */
const PLAIN = new RegExp(`^[ !#-[\\]-~]{1,${SUBJECT_LENGTH_MAX}}$`);

/** A value of a client's or an issuer's choice: never long, never what a database or a terminal trips over. */
export function bounded(text: string): string {
  if (PLAIN.test(text)) return text;
  return `${text.slice(0, text.indexOf(':') + 1)}sha256-${createHash('sha256').update(text).digest('base64url')}`;
}
