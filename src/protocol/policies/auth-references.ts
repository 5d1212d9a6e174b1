// What `auth` names: authenticators, functions and secrets, each with its place; and what is wrong with names that are not there.
// Invariant: looks only at what is sound, so that it can run beside the schemas. Callers: cli/manifest (with lines and columns),
// control/auth-names.ts (with paths, and with the secrets, which the server alone knows).
import { closestWord } from '../../lib/closest-word.ts';
import { NO_AUTH } from './auth.ts';

type Path = readonly PropertyKey[];

export interface AuthReference {
  kind: 'authenticator' | 'function' | 'secret';
  name: string;
  path: Path;
}

/** Of `auth` of a route. */
export function referencesOfAuth(auth: unknown, path: Path, depth = 0): AuthReference[] {
  if (typeof auth === 'string') return auth === NO_AUTH && depth === 0 ? [] : [{ kind: 'authenticator', name: auth, path }];
  if (depth > 3) return [];
  const { use, any, all } = mapping(auth);
  const branches = Object.entries({ any, all }).flatMap(([key, list]) =>
    Array.isArray(list) ? list.flatMap((one: unknown, i) => referencesOfAuth(one, [...path, key, i], depth + 1)) : [],
  );
  const named: AuthReference[] = typeof use === 'string' ? [{ kind: 'authenticator', name: use, path: [...path, 'use'] }] : [];
  return [...named, ...branches, ...referencesOfAuthenticator(auth, path)];
}

/** Of one authenticator. */
export function referencesOfAuthenticator(written: unknown, path: Path): AuthReference[] {
  const { jwt, webhook, authorizer } = mapping(written);
  const secrets = Object.entries({ jwt, webhook }).flatMap(([key, value]) => {
    const { secret } = mapping(value);
    if (typeof secret === 'string') return [{ kind: 'secret' as const, name: secret, path: [...path, key, 'secret'] }];
    if (!Array.isArray(secret)) return [];
    return secret.flatMap((name: unknown, i) =>
      typeof name === 'string' ? [{ kind: 'secret' as const, name, path: [...path, key, 'secret', i] }] : [],
    );
  });
  const { function: fn } = mapping(authorizer);
  return typeof fn === 'string' ? [...secrets, { kind: 'function', name: fn, path: [...path, 'authorizer', 'function'] }] : secrets;
}

/** Of `gateway`, the defaults of the routes with it. */
export function referencesOfGateway(gateway: unknown, path: Path): AuthReference[] {
  const { auth, defaults } = mapping(gateway);
  return [
    ...Object.entries(mapping(auth)).flatMap(([name, one]) => referencesOfAuthenticator(one, [...path, 'auth', name])),
    ...referencesOfAuth(mapping(defaults)['auth'], [...path, 'defaults', 'auth']),
  ];
}

/** What is wrong with a reference, to follow the value; undefined: nothing. */
export function referenceProblem(
  { kind, name }: AuthReference,
  known: Record<AuthReference['kind'], readonly string[] | undefined>,
): string | undefined {
  const names = known[kind];
  if (names === undefined || names.includes(name)) return undefined;
  const meant = closestWord(name, names);
  const hint = meant === undefined ? '' : `; did you mean '${meant}'?`;
  const has = names.length === 0 ? 'there is none' : `there is ${names.slice(0, 10).join(', ')}`;
  switch (kind) {
    case 'authenticator':
      return `gateway.auth has no authenticator of this name${hint || `; ${has}`}`;
    case 'function':
      return `the project has no function of this name${hint || `; ${has}`}`;
    case 'secret':
      return `the project has no secret of this name${hint || `; \`virga secrets set ${name}\` stores one`}`;
  }
}

export function authenticatorNames(gateway: unknown): string[] {
  return Object.keys(mapping(mapping(gateway)['auth']));
}

function mapping(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
