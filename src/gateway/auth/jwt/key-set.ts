// The public keys of one issuer: those of its JWKS, found by URL or by OpenID discovery, or keys that the manifest holds.
//
//   empty ──first token──▶ fresh ──10 min──▶ due (fetched beside the requests, which go on with what there is) ──▶ fresh
//     └─ not to be had ─▶ tried again after 5 s; tokens are refused with 503 meanwhile, once what there is is older than 24 h
//
// A token with a key id that is not there makes it fetch again, at most every 30 s: that is how rotation is noticed. Invariant:
// one fetch at a time, for whoever waits; `generation` changes when a key has gone, so that tokens that it verified are verified
// anew. Outlives deployments: kept by services.ts. Used by jwt.ts.
import { createPublicKey } from 'node:crypto';
import type { CryptoKey, JWK, JWSHeaderParameters } from 'jose';
import type { IssuerFetch } from './issuer-fetch.ts';

export interface KeySetOptions {
  /** Written in the manifest: JWKs and PEM. */
  inline?: readonly (string | Record<string, unknown>)[] | undefined;
  jwks?: string | undefined;
  /** For discovery, without the two. */
  issuer: string;
  fetch: IssuerFetch;
  now: () => number;
}

const DUE_MS = 600_000;
const STALE_MAX_MS = 24 * 3_600_000;
const UNKNOWN_KEY_EVERY_MS = 30_000;
const RETRY_MS = 5_000;
const KEYS_MAX = 100;

/** The issuer's keys cannot be had: nothing is known of the token. */
export class KeysUnavailable extends Error {}

interface HeldJwk {
  jwk: JWK;
  imported: Map<string, Promise<CryptoKey | Uint8Array>>;
}

export class KeySet {
  readonly #options: KeySetOptions;
  #keys: HeldJwk[] = [];
  #thumbs = new Set<string>();
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #problem = '';
  #fetching: Promise<void> | undefined;
  generation = 0;

  constructor(options: KeySetOptions) {
    this.#options = options;
  }

  /** Begins to fetch when it is time; nobody waits for it. */
  keepFresh(): void {
    const { now } = this.#options;
    const at = now();
    if (at - this.#fetchedAt > DUE_MS && this.#fetchedAt > -Infinity && at - this.#triedAt >= RETRY_MS) void this.#refresh();
  }

  /** Keys that may have signed; empty: none. Fails with KeysUnavailable. */
  async candidates(header: JWSHeaderParameters): Promise<(CryptoKey | Uint8Array)[]> {
    const { now } = this.#options;
    const age = now() - this.#fetchedAt;
    if (age > STALE_MAX_MS) {
      if (now() - this.#triedAt >= RETRY_MS || this.#fetching !== undefined) await this.#refresh();
      if (now() - this.#fetchedAt > STALE_MAX_MS) throw new KeysUnavailable(this.#problem);
    } else this.keepFresh();
    let found = this.#matching(header);
    if (found.length === 0 && now() - this.#triedAt >= UNKNOWN_KEY_EVERY_MS) {
      await this.#refresh();
      found = this.#matching(header);
    }
    return await Promise.all(found.map((key) => imported(key, header.alg!)));
  }

  /** Never rejects: what went wrong is in #problem. */
  #refresh(): Promise<void> {
    this.#fetching ??= this.#load()
      .catch((error: unknown) => {
        this.#problem = error instanceof Error ? error.message : String(error);
      })
      .finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #load(): Promise<void> {
    const { now, inline, fetch } = this.#options;
    this.#triedAt = now();
    const keys = inline === undefined ? keysOf(await fetch(await this.#url())) : inline.map(inlineKey);
    const usable = keys.filter(
      ({ kty, use, d }) => (kty === 'RSA' || kty === 'EC' || kty === 'OKP') && (use ?? 'sig') === 'sig' && d === undefined,
    );
    if (usable.length === 0) throw new Error('it has no key for signatures');
    const thumbs = new Set(usable.map((jwk) => canonical(jwk)));
    if ([...this.#thumbs].some((thumb) => !thumbs.has(thumb))) this.generation++;
    this.#thumbs = thumbs;
    this.#keys = usable.slice(0, KEYS_MAX).map((jwk) => ({ jwk, imported: new Map() }));
    // What the manifest holds does not change.
    this.#fetchedAt = inline === undefined ? now() : Infinity;
  }

  async #url(): Promise<string> {
    const { jwks, issuer, fetch } = this.#options;
    if (jwks !== undefined) return jwks;
    const found = (await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)) as {
      issuer?: unknown;
      jwks_uri?: unknown;
    } | null;
    if (found?.issuer !== issuer) throw new Error('its openid-configuration is that of another issuer');
    if (typeof found.jwks_uri !== 'string') throw new Error('its openid-configuration has no jwks_uri');
    return found.jwks_uri;
  }

  #matching({ kid, alg }: JWSHeaderParameters): HeldJwk[] {
    return this.#keys.filter(
      ({ jwk }) =>
        fits(jwk, alg!) && (jwk.alg === undefined || jwk.alg === alg) && (kid === undefined || jwk.kid === undefined || jwk.kid === kid),
    );
  }
}

function canonical(jwk: JWK): string {
  return JSON.stringify(Object.entries(jwk).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function keysOf(document: unknown): JWK[] {
  const { keys } = (document ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('it answered with something that is no set of keys');
  return keys.filter((key): key is JWK => typeof key === 'object' && key !== null);
}

function inlineKey(key: string | Record<string, unknown>): JWK {
  if (typeof key !== 'string') return key;
  return createPublicKey(key).export({ format: 'jwk' });
}

const CURVES: Record<string, string> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

/** Whether a key is of the kind that this algorithm takes: an algorithm never chooses what a key is. */
function fits({ kty, crv }: JWK, alg: string): boolean {
  if (alg.startsWith('RS') || alg.startsWith('PS')) return kty === 'RSA';
  if (alg.startsWith('ES')) return kty === 'EC' && crv === CURVES[alg];
  return alg === 'EdDSA' && kty === 'OKP' && crv === 'Ed25519';
}

async function imported({ jwk, imported: known }: HeldJwk, alg: string): Promise<CryptoKey | Uint8Array> {
  let key = known.get(alg);
  if (key === undefined) {
    const { importJWK } = await import('jose');
    key = importJWK({ ...jwk, alg, ext: true }, alg);
    known.set(alg, key);
  }
  return await key;
}
