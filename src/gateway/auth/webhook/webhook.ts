// Requests that are signed over their body with a shared secret, as webhooks are. Invariant: a signature is compared in constant
// time, over the bytes as they came; one that has passed does not pass again within the window, unless the request failed (5xx)
// and its sender tries again. The memory of signatures is bounded: beyond it the oldest is forgotten. Used by auth.ts.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { durationMs } from '../../../lib/units.ts';
import { VirgaError } from '../../../protocol/errors.ts';
import type { WebhookRules } from '../../../protocol/policies/authenticators.ts';
import type { GatewayRequest } from '../../stage.ts';
import { PENDING } from '../authenticator.ts';
import type { Authenticator, ChallengeScheme, Finding, Known, Unknown } from '../authenticator.ts';
import type { AuthServices } from '../services.ts';
import { schemeOf } from './schemes.ts';
import type { Scheme, Signed } from './schemes.ts';

const TOLERANCE_MS = 300_000;
const BYTES_MAX = 1024 * 1024;

export class WebhookAuthenticator implements Authenticator {
  readonly bodyBytesMax: number;
  readonly #project: string;
  readonly #services: AuthServices;
  readonly #secrets: readonly string[];
  readonly #signing: Scheme;
  readonly #toleranceMs: number;
  readonly #challenge: ChallengeScheme;
  readonly #known: Known;
  readonly #passed = new WeakMap<GatewayRequest, string>();

  constructor(rules: WebhookRules, project: string, services: AuthServices) {
    this.#project = project;
    this.#services = services;
    this.bodyBytesMax = rules.bytesMax ?? BYTES_MAX;
    this.#secrets = [rules.secret].flat();
    this.#signing = schemeOf(rules);
    this.#toleranceMs = durationMs(rules.tolerance ?? '') ?? TOLERANCE_MS;
    this.#challenge = { name: 'Signature', params: { header: this.#signing.header } };
    this.#known = {
      kind: 'known',
      scheme: this.#challenge,
      principal: { kind: 'webhook', id: rules.sender, scopes: [], claims: {} },
    };
  }

  check(request: GatewayRequest, body: Buffer | undefined): Finding {
    if (request.header(this.#signing.header) === undefined) return { kind: 'unknown', scheme: this.#challenge };
    const signed = this.#signing.read(request);
    if (signed === undefined) return this.#unknown('the signature, or what it needs beside it, is missing or malformed');
    const now = this.#services.node.now();
    if (signed.at !== undefined && Math.abs(now - signed.at) > this.#toleranceMs)
      return this.#unknown('the request was signed too long ago, or the clocks differ');
    if (body === undefined) return PENDING;
    const keys = this.#secrets.flatMap((name) => this.#services.node.secrets.get(this.#project, name) ?? []);
    if (keys.length === 0) {
      const message = `the project has no secret ${this.#secrets.join(', ')}; \`virga secrets set\` stores one`;
      return { kind: 'failed', error: new VirgaError('issuer_unavailable', message) };
    }
    const right = keys.map((key) => this.#match(signed, key, body)).find((one) => one !== undefined);
    return right === undefined ? this.#unknown('the signature of the request is not right') : this.#once(request, right, signed.at ?? now);
  }

  forget(request: GatewayRequest): void {
    const mark = this.#passed.get(request);
    if (mark !== undefined) this.#services.signatures.delete(mark);
  }

  #match(signed: Signed, secret: Buffer, body: Buffer): Buffer | undefined {
    const { algorithm, key } = this.#signing;
    const hmac = createHmac(algorithm, key(secret));
    const expected = hmac.update(signed.before).update(body).update(signed.after).digest();
    return signed.signatures.find((one) => one.length === expected.length && timingSafeEqual(one, expected));
  }

  /** The whole signature is the mark: what cannot be signed anew cannot be told from what was sent twice. */
  #once(request: GatewayRequest, signature: Buffer, at: number): Finding {
    const { signatures, node } = this.#services;
    const mark = `${this.#project} ${request.route} ${signature.toString('base64')}`;
    const until = signatures.get(mark);
    if (until !== undefined && until > node.now()) return this.#unknown('this request was taken already');
    signatures.set(mark, at + this.#toleranceMs);
    this.#passed.set(request, mark);
    return this.#known;
  }

  #unknown(reason: string): Unknown {
    return { kind: 'unknown', scheme: this.#challenge, reason };
  }
}
