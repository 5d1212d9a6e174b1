// One POST to the URL of a webhook. A project names the URL but this node makes the request, so it must not become a way into networks that
// the project cannot reach: every address is judged at the connection itself, and one that is not public is refused unless the node's
// operator opened it (VIRGA_WEBHOOKS_PRIVATE, VIRGA_EGRESS_PRIVATE). Invariants: bounded in time and bytes, follows no redirect, nothing
// of an answer is kept but its status and Retry-After; plain http only to such opened addresses; a connection works for a request that has
// not resolved, or is one of a bounded number of idle ones, so that no receiver holds any for longer. Used by webhook-kind.ts.
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { BlockList } from 'node:net';
import type { Duplex } from 'node:stream';
import { checkedLookup } from '../../lib/checked-lookup.ts';
import { blockListOf, reservedAs, unmapped } from '../../protocol/reserved-addresses.ts';

export interface WebhookRequest {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  timeoutMs: number;
  signal: AbortSignal;
}

export interface WebhookAnswer {
  status: number;
  retryAfter: string | undefined;
}

/** Of an answer, whose end is waited for, and dropped. */
const ANSWER_BYTES_MAX = 64 * 1_024;
const ANSWER_END_MS = 1_000;
/**
 * Idle connections. No `maxTotalSockets`: it counts idle ones too and gives none up, so that a receiver nobody has sent to yet would wait for
 * those of others. How many are at work is bounded by the deliveries of the node.
 */
const IDLE_MAX = 256;
const AGENT = { keepAlive: true, maxFreeSockets: 2, timeout: 30_000 };

export class WebhookClient implements Disposable {
  readonly #open: BlockList;
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  /** `opened`: ranges that are not public and may be sent to all the same. */
  constructor(opened: readonly string[]) {
    this.#open = blockListOf(opened);
    this.#http = withBoundedIdle(new HttpAgent(AGENT));
    this.#https = withBoundedIdle(new HttpsAgent(AGENT));
  }

  /** Fails with an Error whose message says why, and holds nothing of the answer. */
  async post({ url: text, headers, body, timeoutMs, signal }: WebhookRequest): Promise<WebhookAnswer> {
    const url = new URL(text);
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const check = (address: string): void => this.#check(address, { secure, host });
    if (isIP(host) !== 0) check(host);
    const timeout = AbortSignal.timeout(timeoutMs);
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = {
      method: 'POST',
      agent: secure ? this.#https : this.#http,
      lookup: checkedLookup(check),
      headers: { ...headers, 'content-length': String(body.length) },
      signal: AbortSignal.any([timeout, signal]),
    };
    const outgoing = (secure ? httpsRequest : httpRequest)(url, options, resolve);
    outgoing.on('error', reject);
    // Without any 'error' when the answer is 101: nobody switches protocols here.
    outgoing.on('close', () => reject(new Error('the receiver answered with something that is no answer to a POST')));
    outgoing.end(body);
    try {
      const answer = await promise;
      await dropped(answer);
      return { status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] };
    } catch (error) {
      outgoing.destroy();
      if (timeout.aborted) throw new Error(`it did not answer within ${timeoutMs} ms`, { cause: error });
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  #check(address: string, { secure, host }: { secure: boolean; host: string }): void {
    const plain = unmapped(address);
    if (this.#open.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')) return;
    const reserved = reservedAs(plain);
    if (reserved !== null)
      throw new Error(
        `${host} has the address ${plain}, which is ${reserved}; the operator of the node opens it with VIRGA_WEBHOOKS_PRIVATE`,
      );
    if (!secure) throw new Error(`${host} would be sent to by plain http, which anybody on the way can read and change; use https`);
  }
}

/** So that the connection can be used again; that of one who says too much, or does not come to an end, is closed. */
async function dropped(answer: IncomingMessage): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX) answer.destroy();
  });
  // Its status has been heard: what becomes of the rest is of no interest.
  answer.on('error', () => {});
  answer.on('close', resolve);
  const late = setTimeout(() => {
    answer.destroy();
    resolve();
  }, ANSWER_END_MS);
  await promise;
  clearTimeout(late);
}

function withBoundedIdle<A extends HttpAgent>(agent: A): A {
  // What it answers is missing from its type.
  const keep = agent.keepSocketAlive.bind(agent) as (socket: Duplex) => boolean;
  agent.keepSocketAlive = (socket) => {
    let idle = 0;
    for (const sockets of Object.values(agent.freeSockets)) idle += sockets?.length ?? 0;
    return idle < IDLE_MAX && keep(socket);
  };
  return agent;
}
