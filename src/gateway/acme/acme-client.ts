// A client of ACME (RFC 8555): an account, and a certificate for one name at a time.
//
//   order ─▶ authorization ─▶ challenge shown, then asked for ─▶ valid ─▶ request (CSR) ─▶ valid ─▶ certificate
//
// Invariant: what is shown for a challenge is taken away again however it ends; every wait is bounded. acme-client of npm was
// looked at: it brings axios and node-forge for what is 300 lines here. Used by renewals.ts.
import { createPrivateKey, generateKeyPair } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { AcmeError, AcmeHttp, problemText, retryAfterOf } from './acme-http.ts';
import type { AcmeAnswer } from './acme-http.ts';
import { certificateRequest } from './certificate-request.ts';
import { keyAuthorization } from './jws.ts';

export type ChallengeKind = 'http-01' | 'tls-alpn-01';

export interface Challenges {
  /** Shows it to whoever asks for `key`: the token of http-01, the name of tls-alpn-01. */
  show(kind: ChallengeKind, key: string, keyAuthorization: string): Promise<void>;
  takeAway(kind: ChallengeKind, key: string): Promise<void>;
}

export interface Account {
  url: string;
  key: KeyObject;
}

interface Directory {
  newNonce: string;
  newAccount: string;
  newOrder: string;
}

interface Order {
  status: string;
  authorizations: string[];
  finalize: string;
  certificate?: string;
  error?: { type?: unknown; detail?: unknown };
}

interface Authorization {
  status: string;
  challenges: { type: string; url: string; token?: string; status: string; error?: { type?: unknown; detail?: unknown } }[];
}

const WAIT_MS_MAX = 120_000;
const POLL_MS = { first: 200, most: 5_000 };
const newKey = promisify(generateKeyPair);

export async function newPrivateKey(): Promise<KeyObject> {
  return (await newKey('ec', { namedCurve: 'P-256' })).privateKey;
}

export class AcmeClient {
  readonly #directoryUrl: string;
  readonly #http: AcmeHttp;
  readonly #signal: AbortSignal;
  #directory: Directory | undefined;
  #account: Account | undefined;

  constructor(options: { directory: string; ca: string | undefined; signal: AbortSignal }) {
    this.#directoryUrl = options.directory;
    this.#signal = options.signal;
    this.#http = new AcmeHttp(options);
  }

  /** The account of this key: the one there is, or a new one. */
  async register(key: KeyObject, email: string | null): Promise<Account> {
    const { newAccount } = await this.#open();
    const payload = { termsOfServiceAgreed: true, ...(email === null ? {} : { contact: [`mailto:${email}`] }) };
    const answer = await this.#http.post(newAccount, { key, kid: undefined, payload });
    return this.use({ url: locationOf(answer), key });
  }

  use(account: Account): Account {
    this.#account = account;
    return account;
  }

  /** PEM of a certificate with its chain, and of its new key. Throws AcmeError. */
  async certify(name: string, kind: ChallengeKind, challenges: Challenges): Promise<{ chain: string; key: string }> {
    const { newOrder } = await this.#open();
    const ordered = await this.#post(newOrder, { identifiers: [{ type: 'dns', value: name }] });
    const orderUrl = locationOf(ordered);
    const order = JSON.parse(ordered.text) as Order;
    for (const url of order.authorizations) await this.#authorize(url, name, kind, challenges);
    await this.#until<Order>(orderUrl, (now) => now.status !== 'pending', `the order for ${name}`);
    const key = await newPrivateKey();
    await this.#post(order.finalize, { csr: certificateRequest(name, key).toString('base64url') });
    const done = await this.#until<Order>(orderUrl, ({ status }) => status === 'valid' || status === 'invalid', `the order for ${name}`);
    if (done.certificate === undefined) throw new AcmeError(`the order for ${name} failed: ${problemText(done.error)}`);
    const { text: chain } = await this.#post(done.certificate);
    return { chain, key: key.export({ type: 'pkcs8', format: 'pem' }) };
  }

  async #authorize(url: string, name: string, kind: ChallengeKind, challenges: Challenges): Promise<void> {
    const authorization = JSON.parse((await this.#post(url)).text) as Authorization;
    if (authorization.status === 'valid') return;
    const challenge = authorization.challenges.find(({ type }) => type === kind);
    if (challenge?.token === undefined || !/^[A-Za-z0-9_-]{1,256}$/.test(challenge.token))
      throw new AcmeError(`the ACME server offers no ${kind} for ${name}; VIRGA_ACME_CHALLENGE chooses another`);
    const key = kind === 'http-01' ? challenge.token : name;
    await challenges.show(kind, key, keyAuthorization(challenge.token, this.#account!.key));
    try {
      if (challenge.status === 'pending') await this.#post(challenge.url, {});
      const ended = await this.#until<Authorization>(url, ({ status }) => status !== 'pending', `the proof that ${name} is here`);
      if (ended.status === 'valid') return;
      const { error } = ended.challenges.find(({ type }) => type === kind) ?? {};
      throw new AcmeError(`the ACME server could not see that ${name} leads here (${kind}): ${problemText(error)}`);
    } finally {
      await challenges.takeAway(kind, key);
    }
  }

  async #until<T>(url: string, isOver: (state: T) => boolean, what: string): Promise<T> {
    const before = performance.now() + WAIT_MS_MAX;
    for (let delayMs = POLL_MS.first; ; delayMs = Math.min(delayMs * 2, POLL_MS.most)) {
      const answer = await this.#post(url);
      const state = JSON.parse(answer.text) as T;
      if (isOver(state)) return state;
      if (performance.now() > before) throw new AcmeError(`${what} took longer than ${WAIT_MS_MAX / 1_000} s`);
      await sleep(Math.min(retryAfterOf(answer.headers) ?? delayMs, POLL_MS.most), undefined, { signal: this.#signal });
    }
  }

  async #post(url: string, payload?: unknown): Promise<AcmeAnswer> {
    const { key, url: kid } = this.#account!;
    return await this.#http.post(url, { key, kid, payload });
  }

  async #open(): Promise<Directory> {
    if (this.#directory !== undefined) return this.#directory;
    const directory = JSON.parse((await this.#http.get(this.#directoryUrl)).text) as Directory;
    this.#http.newNonce = directory.newNonce;
    return (this.#directory = directory);
  }
}

export function keyFrom(pem: Buffer): KeyObject {
  return createPrivateKey(pem);
}

function locationOf({ headers }: AcmeAnswer): string {
  if (headers.location === undefined) throw new AcmeError('the ACME server did not say where what it made is');
  return headers.location;
}
