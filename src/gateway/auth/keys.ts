// API keys at the gateway. Invariant: a key is looked up by the id that it begins with, and compared by its sha256 in constant
// time; what is not even the form of a key costs no lookup. One Map get and one hash for each request.
import { hash, timingSafeEqual } from 'node:crypto';
import { idOfKey, isWellCopied } from '../../protocol/api-key.ts';
import type { KeyRules } from '../../protocol/policies/authenticators.ts';
import type { GatewayRequest } from '../stage.ts';
import type { Authenticator, ChallengeScheme, Finding, Unknown } from './authenticator.ts';
import type { HeldKey } from './key-ring.ts';
import { firstOf, schemeOf } from './places.ts';
import type { Reader } from './places.ts';
import type { AuthServices } from './services.ts';

const FROM = ['header:x-api-key', 'bearer'];

export class KeyAuthenticator implements Authenticator {
  readonly #project: string;
  readonly #services: AuthServices;
  readonly #read: Reader;
  readonly #scheme: ChallengeScheme;
  readonly #absent: Unknown;

  constructor({ from = FROM }: KeyRules, project: string, services: AuthServices) {
    this.#project = project;
    this.#services = services;
    this.#read = firstOf(from);
    const [first = ''] = from;
    this.#scheme = first.startsWith('header:') ? { name: 'ApiKey', params: { header: first.slice(7) } } : schemeOf(from, 'ApiKey');
    this.#absent = { kind: 'unknown', scheme: this.#scheme };
  }

  check(request: GatewayRequest): Finding {
    const text = this.#read(request);
    if (text === undefined) return this.#absent;
    const id = idOfKey(text);
    if (id === undefined) return this.#unknown('what was sent is no API key: those begin with vk_ and have 56 characters');
    const { node } = this.#services;
    const key = node.keys.find(this.#project, id);
    const digest = hash('sha256', text, 'buffer');
    const now = node.now();
    if (key === undefined || !opens(key, digest, now)) {
      if (!isWellCopied(text)) return this.#unknown('the API key was not copied well: its checksum does not fit');
      return this.#unknown(`the API key vk_${id} is not known here (any more)`);
    }
    if (key.expiresAt <= now) return this.#unknown(`the API key vk_${id} has expired`);
    node.keys.used(key, now);
    if (key.routes !== undefined && !allows(key.routes, request))
      return { kind: 'forbidden', scheme: this.#scheme, reason: `the API key vk_${id} may not call ${request.method} ${request.route}` };
    return key.known;
  }

  #unknown(reason: string): Unknown {
    return { kind: 'unknown', scheme: this.#scheme, reason };
  }
}

function opens(key: HeldKey, digest: Buffer, now: number): boolean {
  if (timingSafeEqual(key.hash, digest)) return true;
  return key.previous !== undefined && key.previous.until > now && timingSafeEqual(key.previous.hash, digest);
}

function allows(routes: NonNullable<HeldKey['routes']>, { method, route }: GatewayRequest): boolean {
  return routes.some(
    ({ methods, path, prefix }) => (methods === undefined || methods.has(method)) && (prefix ? route.startsWith(path) : route === path),
  );
}
