// Fetches a JSON document of an issuer of tokens. A project names the URL, but the edge fetches it, so this must not become a way
// into networks that the project cannot reach: every address that a name resolves to is checked at the connection itself, and one
// that is not public is refused unless the node's operator opened it (VIRGA_ISSUERS_PRIVATE, VIRGA_EGRESS_PRIVATE). Invariant:
// bounded in time and bytes, follows no redirect; plain http only to such opened addresses. Used by key-set.ts.
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import type { BlockList } from 'node:net';
import { checkedLookup } from '../../../lib/checked-lookup.ts';
import { blockListOf, reservedAs, unmapped } from '../../../protocol/reserved-addresses.ts';

/** Fails with an Error whose message says why, without anything of the answer. */
export type IssuerFetch = (url: string) => Promise<unknown>;

const TIMEOUT_MS = 5_000;
const BYTES_MAX = 512 * 1024;

/** `opened`: ranges that are not public and may be fetched from all the same. */
export function issuerFetch(opened: readonly string[]): IssuerFetch {
  const open = blockListOf(opened);
  return async (url) => await fetchJson(new URL(url), open);
}

async function fetchJson(url: URL, open: BlockList): Promise<unknown> {
  const secure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) check(host, { secure, host, open });
  const options: RequestOptions = {
    agent: false,
    lookup: checkedLookup((address, name) => check(address, { secure, host: name, open })),
    headers: { accept: 'application/json', 'user-agent': 'virga' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const outgoing = (secure ? httpsRequest : httpRequest)(url, options, resolve);
  outgoing.on('error', reject);
  outgoing.end();
  try {
    return await readJson(await promise);
  } catch (error) {
    if (options.signal?.aborted === true) throw new Error(`${url.host} did not answer within ${TIMEOUT_MS} ms`, { cause: error });
    throw error;
  } finally {
    outgoing.destroy();
  }
}

async function readJson(answer: IncomingMessage): Promise<unknown> {
  if (answer.statusCode !== 200) throw new Error(`it answered ${answer.statusCode}`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`it answered more than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new Error('it answered with something that is not JSON', { cause: error });
  }
}

function check(address: string, { secure, host, open }: { secure: boolean; host: string; open: BlockList }): void {
  const plain = unmapped(address);
  if (open.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')) return;
  const reserved = reservedAs(plain);
  if (reserved !== null)
    throw new Error(`${host} has the address ${plain}, which is ${reserved}; the operator of the node opens it with VIRGA_ISSUERS_PRIVATE`);
  if (!secure) throw new Error(`${host} is fetched by plain http, which anybody on the way can change; use https`);
}
