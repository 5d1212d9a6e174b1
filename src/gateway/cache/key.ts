// What makes two requests the same for the cache, and what the function gets to see of one: nothing may change its answer that is
// not part of the key. Query parameters and cookies that are not in it are taken out; of headers, those are that frameworks
// take host, path or method from though the gateway vouches for none of them (https://portswigger.net/research/practical-web-cache-poisoning).
// Invariant: keys of different requests differ, since no part of them may contain the separator; a long one is hashed.
import { hash } from 'node:crypto';
import type { Principal } from '../../protocol/principal.ts';
import { dropHeaders } from '../flat-headers.ts';
import type { GatewayRequest } from '../stage.ts';
import type { CompiledRules } from './rules.ts';

const KEY_CHARACTERS_MAX = 512;
/** No header can contain it, no path and no name. */
const NEXT = '\n';
const MISSING = '\0';
const CLAIMED = new Set([
  'x-original-url',
  'x-original-uri',
  'x-original-host',
  'x-rewrite-url',
  'x-forwarded-server',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'x-forwarded-uri',
  'x-host',
  'x-http-host-override',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
]);

/** Changes what the function will see of the request, if need be, and answers the key. */
export function keyOf(request: GatewayRequest, rules: CompiledRules): string {
  // The function may see what was asked by the parameters of the route, though it is called at another path.
  const rewritten = request.target !== request.asked;
  if (rules.query !== undefined) request.target = withParameters(request.target, rules.query);
  let key = `${request.scheme}${NEXT}${request.host.toLowerCase()}${NEXT}${request.target}`;
  if (request.version !== undefined) key += `${NEXT}${request.version.version}`;
  if (rewritten) key += `${NEXT}${request.asked.split('?', 1)[0]}`;
  for (const name of rules.headers) key += NEXT + (seen(request, name) ?? MISSING);
  if (request.incoming.headers.cookie !== undefined) onlyCookies(request, rules.cookies);
  if (rules.cookies.length > 0) key += NEXT + (request.incoming.headers.cookie === undefined ? MISSING : cookieIn(request));
  if (request.principal !== undefined && !rules.public) key += `${NEXT}${nameOf(request.principal)}`;
  return key.length > KEY_CHARACTERS_MAX ? hash('sha256', key) : key;
}

/** Of one answer among those of a key: what the request has of the headers that Vary names. */
export function variantOf(request: GatewayRequest, vary: readonly string[], rules: CompiledRules): string {
  let variant = '';
  for (const name of vary) {
    const value = name === 'cookie' ? (rules.cookies.length === 0 ? '' : cookieIn(request)) : seen(request, name);
    variant += NEXT + (value === undefined ? MISSING : name === 'accept-encoding' ? codings(value) : value.trim());
  }
  return variant.length > KEY_CHARACTERS_MAX ? hash('sha256', variant) : variant;
}

/** A header as the function sees it: what the gateway says of a request itself is not what the client claims. */
function seen(request: GatewayRequest, name: string): string | undefined {
  if (name === 'x-forwarded-for') return request.client;
  if (name === 'x-request-id' || name === 'traceparent') return request.id;
  return name === 'forwarded' || name === 'x-real-ip' || name.startsWith('x-forwarded-') || CLAIMED.has(name)
    ? undefined
    : request.header(name);
}

/** What nobody vouches for is kept from the function. */
export function dropClaims(request: GatewayRequest): void {
  dropHeaders(request.headers, CLAIMED);
}

/** As it is routed, e.g. for `/a%62/?x` `/ab`. */
export function pathOf(target: string): string {
  const end = target.indexOf('?');
  const path = end < 0 ? target : target.slice(0, end);
  const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  if (!plain.includes('%')) return plain;
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}

/** Of a path and query: the parameters that are named, as they stand, in their order. */
function withParameters(target: string, names: ReadonlySet<string>): string {
  const at = target.indexOf('?');
  if (at < 0) return target;
  const kept = target
    .slice(at + 1)
    .split('&')
    .filter((one) => names.has(nameIn(one)));
  return kept.length === 0 ? target.slice(0, at) : `${target.slice(0, at)}?${kept.join('&')}`;
}

function nameIn(parameter: string): string {
  const end = parameter.indexOf('=');
  const name = (end < 0 ? parameter : parameter.slice(0, end)).replaceAll('+', ' ');
  if (!name.includes('%')) return name;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function onlyCookies(request: GatewayRequest, names: readonly string[]): void {
  const { headers } = request;
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue;
    for (const pair of headers[i + 1]!.split(';')) {
      const text = pair.trim();
      if (names.includes(text.slice(0, Math.max(0, text.indexOf('='))).trim())) kept.push(text);
    }
  }
  dropHeaders(headers, COOKIE);
  if (kept.length > 0) headers.push('cookie', kept.sort().join('; '));
}

const COOKIE = new Set(['cookie']);

function cookieIn(request: GatewayRequest): string {
  const at = request.headers.lastIndexOf('cookie');
  return at % 2 === 0 ? request.headers[at + 1]! : MISSING;
}

/** What differs from one token of somebody to the next (RFC 7519, section 4.1), and tells nothing of him. */
const OF_THE_TOKEN = new Set(['exp', 'nbf', 'iat', 'jti']);
const names = new WeakMap<Principal, string>();

/** Who gets an answer of his own. All that the function is told of him is part of it, since answers may follow from that. */
function nameOf(principal: Principal): string {
  let name = names.get(principal);
  if (name === undefined) {
    const { kind, id, plan, scopes, claims } = principal;
    const lasting = Object.entries(claims).filter(([key]) => !OF_THE_TOKEN.has(key));
    names.set(principal, (name = JSON.stringify([kind, id, plan, scopes.toSorted(), lasting.sort(byKey)])));
  }
  return name;
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** Browsers differ in how they write the same. */
function codings(value: string): string {
  return value
    .toLowerCase()
    .split(',')
    .map((one) => one.trim())
    .sort()
    .join(',');
}
