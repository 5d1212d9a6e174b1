// JSON Web Tokens (RFC 7519) at the gateway, verified by jose as RFC 8725 advises: the algorithms are ours to name, `exp` is
// needed, issuer and audience are compared. Invariant: a token that was verified is remembered by its hash until it expires or
// a key of its issuer goes, so that a repeated one costs a hash and a map's get; nothing else is taken without its signature.
import { hash } from 'node:crypto';
import type { CryptoKey, JWSHeaderParameters, JWTPayload, JWTVerifyOptions } from 'jose';
import { durationMs } from '../../../lib/units.ts';
import { VirgaError } from '../../../protocol/errors.ts';
import type { JwtRules } from '../../../protocol/policies/authenticators.ts';
import type { GatewayRequest } from '../../stage.ts';
import type { Authenticator, ChallengeScheme, Finding, Known, Unknown } from '../authenticator.ts';
import { firstOf, schemeOf } from '../places.ts';
import type { Reader } from '../places.ts';
import type { AuthServices } from '../services.ts';
import { KeySet, KeysUnavailable } from './key-set.ts';

const PUBLIC_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
const CLOCK_SKEW_MS = 60_000;
/** Of the shape of a JWS in its compact form (RFC 7515, section 7.1). */
const COMPACT = /^[\w-]+\.[\w-]*\.[\w-]*$/;

export class JwtAuthenticator implements Authenticator {
  readonly #rules: JwtRules;
  readonly #project: string;
  readonly #services: AuthServices;
  readonly #read: Reader;
  readonly #scheme: ChallengeScheme;
  readonly #absent: Unknown;
  readonly #skewMs: number;
  /** Tells what was verified by these rules from what others verified. */
  readonly #mark: string;
  readonly #keys: KeySet | undefined;
  readonly #secrets: readonly string[];

  constructor(rules: JwtRules, project: string, services: AuthServices) {
    const from = rules.from ?? ['bearer'];
    this.#rules = rules;
    this.#project = project;
    this.#services = services;
    this.#read = firstOf(from);
    this.#scheme = schemeOf(from, 'Bearer');
    this.#absent = { kind: 'unknown', scheme: this.#scheme };
    this.#skewMs = durationMs(rules.clockSkew ?? '') ?? CLOCK_SKEW_MS;
    const { scopes: _scopes, claims: _claims, from: _from, ...verified } = rules;
    this.#mark = hash('sha256', JSON.stringify([project, verified]), 'base64url');
    this.#secrets = rules.secret === undefined ? [] : [rules.secret].flat();
    this.#keys = rules.secret === undefined ? this.#keySet() : undefined;
  }

  check(request: GatewayRequest): Finding | Promise<Finding> {
    const token = this.#read(request);
    if (token === undefined) return this.#absent;
    const key = this.#mark + hash('sha256', token, 'base64url');
    const { tokens, node } = this.#services;
    // Also where every token is remembered, keys that have gone are noticed.
    this.#keys?.keepFresh();
    const seen = tokens.get(key);
    if (seen !== undefined && seen.generation === this.#generation && seen.until > node.now()) return seen.finding;
    if (!COMPACT.test(token)) return this.#unknown('what was sent is no JSON Web Token');
    return this.#verify(token, key);
  }

  get #generation(): number {
    return this.#keys?.generation ?? this.#services.node.secrets.generation;
  }

  #keySet(): KeySet {
    const { issuer, jwks, keys } = this.#rules;
    const { keySets, node } = this.#services;
    // Projects share nothing, not even what they fetch from one issuer: its answers may differ by who asks.
    const name = JSON.stringify([this.#project, issuer, jwks, keys]);
    let set = keySets.get(name);
    if (set === undefined) keySets.set(name, (set = new KeySet({ inline: keys, jwks, issuer, fetch: node.fetchIssuer, now: node.now })));
    return set;
  }

  async #verify(token: string, key: string): Promise<Finding> {
    const { errors, jwtVerify, decodeProtectedHeader } = await import('jose');
    const { issuer, audience, type, algorithms = this.#secrets.length > 0 ? ['HS256'] : PUBLIC_ALGORITHMS } = this.#rules;
    const { tokens, node } = this.#services;
    const options: JWTVerifyOptions = {
      issuer,
      algorithms,
      clockTolerance: this.#skewMs / 1_000,
      currentDate: new Date(node.now()),
      requiredClaims: ['exp'],
      ...(audience === false ? {} : { audience }),
      ...(type === undefined ? {} : { typ: type }),
    };
    try {
      const header = decodeProtectedHeader(token) as JWSHeaderParameters;
      if (header.alg === undefined || !algorithms.includes(header.alg))
        return this.#unknown('the token is signed with an algorithm that is not accepted');
      const candidates = await this.#candidates(header);
      const generation = this.#generation;
      if (candidates.length === 0) return this.#unknown('the token is signed with a key that its issuer does not have');
      for (const [at, candidate] of candidates.entries()) {
        try {
          const { payload } = await jwtVerify(token, candidate, options);
          const finding: Known = { kind: 'known', scheme: this.#scheme, principal: principalOf(payload, `unnamed-${key.slice(-43, -31)}`) };
          tokens.set(key, { finding, until: payload.exp! * 1_000 + this.#skewMs, generation });
          return finding;
        } catch (error) {
          if (!(error instanceof errors.JWSSignatureVerificationFailed) || at === candidates.length - 1) throw error;
        }
      }
      return this.#unknown('the signature of the token is not right');
    } catch (error) {
      if (error instanceof KeysUnavailable) {
        const message = `the keys of the issuer '${issuer}' cannot be had: ${error.message}`;
        return { kind: 'failed', error: new VirgaError('issuer_unavailable', message, { retryAfterS: 5 }) };
      }
      if (error instanceof errors.JWTExpired) return this.#unknown('the token has expired');
      if (error instanceof errors.JWTClaimValidationFailed) return this.#unknown(`the token has a claim that is not right: ${error.claim}`);
      if (error instanceof errors.JWSSignatureVerificationFailed) return this.#unknown('the signature of the token is not right');
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof SyntaxError)
        return this.#unknown('what was sent is no JSON Web Token that can be verified');
      throw error;
    }
  }

  async #candidates(header: JWSHeaderParameters): Promise<(CryptoKey | Uint8Array)[]> {
    if (this.#keys !== undefined) return await this.#keys.candidates(header);
    const { secrets } = this.#services.node;
    const known = this.#secrets.flatMap((name) => secrets.get(this.#project, name) ?? []);
    if (known.length === 0)
      throw new KeysUnavailable(`the project has no secret ${this.#secrets.join(', ')}; \`virga secrets set\` stores one`);
    return known;
  }

  #unknown(reason: string): Unknown {
    return { kind: 'unknown', scheme: this.#scheme, reason };
  }
}

/** Two tokens that name nobody are two callers. */
function principalOf(payload: JWTPayload, fallbackId: string): Known['principal'] {
  const { sub, scope, scp } = payload as { sub?: unknown; scope?: unknown; scp?: unknown };
  return { kind: 'jwt', id: typeof sub === 'string' && sub !== '' ? sub : fallbackId, scopes: scopesOf(scope ?? scp), claims: payload };
}

/** `scope` (RFC 8693, section 4.2) is a text with spaces; `scp` of some issuers a list. */
function scopesOf(value: unknown): string[] {
  if (typeof value === 'string') return value.split(' ').filter((one) => one !== '');
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
