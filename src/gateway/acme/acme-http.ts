// Requests to an ACME server: HTTPS with an own root certificate if there is one, a fresh nonce for each, tried again when the
// server wants another nonce (RFC 8555, section 6.5). Invariant: bounded in time and in bytes. Used by acme-client.ts.
import type { KeyObject } from 'node:crypto';
import { request } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { signedRequest } from './jws.ts';

const ANSWER_BYTES_MAX = 1024 * 1024;
const TIMEOUT_MS = 30_000;
const NONCE_TRIES = 10;

export interface AcmeAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

/** What the server said no with (RFC 7807), or why there was no answer; worded for the operator. */
export class AcmeError extends Error {
  override readonly name = 'AcmeError';
  /** e.g. `rateLimited`. */
  readonly type: string;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, { type = 'unknown', retryAfterMs }: { type?: string; retryAfterMs?: number | undefined } = {}) {
    super(message);
    this.type = type;
    this.retryAfterMs = retryAfterMs;
  }
}

export class AcmeHttp {
  readonly #ca: string | undefined;
  readonly #signal: AbortSignal;
  #nonce: string | undefined;
  /** Where nonces come from, once the directory is known. */
  newNonce = '';

  constructor(options: { ca: string | undefined; signal: AbortSignal }) {
    this.#ca = options.ca;
    this.#signal = options.signal;
  }

  async get(url: string): Promise<AcmeAnswer> {
    return checked(url, await this.#send('GET', url));
  }

  async post(url: string, { key, kid, payload }: { key: KeyObject; kid: string | undefined; payload?: unknown }): Promise<AcmeAnswer> {
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonce ?? (await this.#freshNonce());
      this.#nonce = undefined;
      const answer = await this.#send('POST', url, signedRequest(key, { url, nonce, kid, payload }));
      try {
        return checked(url, answer);
      } catch (error) {
        if (!(error instanceof AcmeError && error.type === 'badNonce' && tries < NONCE_TRIES)) throw error;
      }
    }
  }

  async #freshNonce(): Promise<string> {
    await this.#send('HEAD', this.newNonce);
    if (this.#nonce === undefined) throw new AcmeError(`${this.newNonce} gave no nonce`);
    return this.#nonce;
  }

  async #send(method: 'GET' | 'HEAD' | 'POST', url: string, body?: string): Promise<AcmeAnswer> {
    if (URL.parse(url)?.protocol !== 'https:')
      throw new AcmeError(`the ACME server names '${url.slice(0, 200)}', which is no https:// URL`);
    const { promise, resolve, reject } = Promise.withResolvers<AcmeAnswer>();
    const failed = (error: Error): void => reject(new AcmeError(`${url} cannot be reached: ${error.message}`));
    const sent = request(
      url,
      {
        method,
        agent: false,
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(TIMEOUT_MS)]),
        headers: {
          'user-agent': 'virga',
          ...(body === undefined ? {} : { 'content-type': 'application/jose+json', 'content-length': Buffer.byteLength(body) }),
        },
        ...(this.#ca === undefined ? {} : { ca: this.#ca }),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`));
        });
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }));
        response.on('error', failed);
      },
    );
    sent.on('error', failed);
    sent.end(body);
    const answer = await promise;
    const nonce = answer.headers['replay-nonce'];
    if (typeof nonce === 'string' && /^[A-Za-z0-9_-]+$/.test(nonce)) this.#nonce = nonce;
    return answer;
  }
}

function checked(url: string, answer: AcmeAnswer): AcmeAnswer {
  if (answer.status < 400) return answer;
  let problem: { type?: unknown; detail?: unknown } = {};
  try {
    problem = JSON.parse(answer.text) as typeof problem;
  } catch {
    // Not every proxy before an ACME server speaks JSON.
  }
  throw new AcmeError(`${new URL(url).host} answered ${answer.status}: ${problemText(problem)}`, {
    type: problemType(problem),
    retryAfterMs: retryAfterOf(answer.headers),
  });
}

export function problemText(problem: { type?: unknown; detail?: unknown } | undefined): string {
  if (problem === undefined) return 'it said no reason';
  const detail = typeof problem.detail === 'string' ? problem.detail : 'it said no reason';
  return `${problemType(problem)}: ${detail}`.slice(0, 1_000);
}

function problemType({ type }: { type?: unknown }): string {
  return typeof type === 'string' ? type.replace(/^urn:ietf:params:acme:error:/, '') : 'unknown';
}

export function retryAfterOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
