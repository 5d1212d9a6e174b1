// Where in a request a credential stands (`bearer`, `header:x-token`, `cookie:sid`, `query:token`), read once per deployment
// into functions that take it from there. Pure. Used by the authenticators.
import type { GatewayRequest } from '../stage.ts';
import { BEARER } from './authenticator.ts';
import type { ChallengeScheme } from './authenticator.ts';

export type Reader = (request: GatewayRequest) => string | undefined;

/** Credentials are no longer than heads of requests may be; a bound of its own keeps hashing them cheap. */
const CREDENTIAL_MAX = 16 * 1024;

export function readerOf(place: string): Reader {
  const [kind, name = ''] = split(place);
  switch (kind) {
    case 'bearer':
      return (request) => bearerOf(request.header('authorization'));
    case 'cookie':
      return (request) => cookieOf(request.header('cookie'), name);
    case 'query':
      return (request) => queryOf(request.target, name);
    default: {
      const header = name.toLowerCase();
      return (request) => request.header(header) || undefined;
    }
  }
}

/** The first of several that has something. */
export function firstOf(places: readonly string[]): Reader {
  const readers = places.map(readerOf);
  const [only] = readers;
  const read: Reader =
    readers.length === 1 && only !== undefined
      ? only
      : (request) => {
          for (const reader of readers) {
            const value = reader(request);
            if (value !== undefined) return value;
          }
          return undefined;
        };
  return (request) => {
    const value = read(request);
    return value === undefined || value.length > CREDENTIAL_MAX ? undefined : value;
  };
}

/** What a challenge says of these places: Bearer where it is one of them. */
export function schemeOf(places: readonly string[], fallback: string): ChallengeScheme {
  if (places.some((place) => place === 'bearer' || place.toLowerCase() === 'header:authorization')) return BEARER;
  const [kind, name = ''] = split(places[0]!);
  return { name: fallback, params: { [kind]: name } };
}

function split(place: string): [kind: string, name?: string] {
  const colon = place.indexOf(':');
  return colon < 0 ? [place] : [place.slice(0, colon), place.slice(colon + 1)];
}

function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length < 8 || authorization[6] !== ' ') return undefined;
  if (authorization.slice(0, 6).toLowerCase() !== 'bearer') return undefined;
  return authorization.slice(7).trim() || undefined;
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return (value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value) || undefined;
  }
  return undefined;
}

function queryOf(target: string, name: string): string | undefined {
  const question = target.indexOf('?');
  if (question < 0 || !target.includes(name, question)) return undefined;
  return new URLSearchParams(target.slice(question + 1)).get(name) || undefined;
}
