// Who may call, in OpenAPI's words: `gateway.auth` as security schemes, `auth` of a route as its requirements. Invariant: no secret and
// no name of one is in it. Reads what it is given as it comes: an authenticator that it does not know is left out. Used by document.ts.
import { isMapping } from './components.ts';

type Mapping = Record<string, unknown>;

/** By name; those written in place have none and are given one. */
export class SecuritySchemes {
  readonly schemes: Mapping = {};

  constructor(gateway: unknown) {
    const named = isMapping(gateway) && isMapping(gateway['auth']) ? gateway['auth'] : {};
    for (const [name, one] of Object.entries(named)) {
      const scheme = schemeOf(one);
      if (scheme !== undefined) this.schemes[name] = scheme;
    }
  }

  /** Alternatives, each with all that it needs; undefined: nothing is known to be asked for. */
  of(auth: unknown): Record<string, string[]>[] | undefined {
    if (auth === undefined || auth === 'none' || auth === false) return undefined;
    const found = this.#alternatives(auth);
    return found.length === 0 ? undefined : found;
  }

  #alternatives(auth: unknown): Record<string, string[]>[] {
    if (typeof auth === 'string') return Object.hasOwn(this.schemes, auth) ? [{ [auth]: [] }] : [];
    if (!isMapping(auth)) return [];
    const { use, any, all, scopes } = auth;
    if (typeof use === 'string') return this.#alternatives(use).map((one) => ({ ...one, [use]: texts(scopes) }));
    if (Array.isArray(any)) return any.flatMap((one) => this.#alternatives(one));
    if (Array.isArray(all))
      return all.reduce<Record<string, string[]>[]>(
        (before, one) => before.flatMap((left) => this.#alternatives(one).map((right) => ({ ...left, ...right }))),
        [{}],
      );
    const scheme = schemeOf(auth);
    if (scheme === undefined) return [];
    const way = Object.keys(auth)[0]!;
    let name = way;
    for (let number = 2; this.schemes[name] !== undefined && JSON.stringify(this.schemes[name]) !== JSON.stringify(scheme); number++)
      name = `${way}-${number}`;
    this.schemes[name] = scheme;
    return [{ [name]: [] }];
  }
}

function schemeOf(authenticator: unknown): Mapping | undefined {
  if (!isMapping(authenticator)) return undefined;
  const { keys, jwt, webhook, certificate, mtls, authorizer } = authenticator;
  if (isMapping(keys)) return placeScheme(texts(keys['from'])[0] ?? 'header:x-api-key', 'A key of the project.');
  if (isMapping(jwt)) {
    const { issuer } = jwt;
    const from = texts(jwt['from'])[0] ?? 'bearer';
    if (from !== 'bearer') return placeScheme(from, `A token of ${String(issuer)}.`);
    return { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: `A token of ${String(issuer)}.` };
  }
  if (isMapping(webhook)) {
    const header = typeof webhook['header'] === 'string' ? webhook['header'] : 'x-signature';
    return { type: 'apiKey', in: 'header', name: header, description: `Signed as ${String(webhook['sender'])} does.` };
  }
  if (certificate !== undefined || mtls !== undefined) return { type: 'mutualTLS' };
  if (authorizer !== undefined)
    return { type: 'apiKey', in: 'header', name: 'authorization', description: 'As a function of the project decides.' };
  return undefined;
}

/** `bearer`, `header:x-key`, `cookie:sid`, `query:key`. */
function placeScheme(place: string, description: string): Mapping {
  const [kind, name] = place.split(':', 2);
  if (kind === 'bearer' || name === undefined) return { type: 'http', scheme: 'bearer', description };
  return { type: 'apiKey', in: kind, name, description };
}

function texts(value: unknown): string[] {
  return [value].flat().filter((one) => typeof one === 'string');
}
