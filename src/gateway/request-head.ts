// One pass over the raw headers of a request: what the gateway itself needs, and what is passed on to the function.
// Invariant: hop-by-hop headers (RFC 9110, section 7.6.1, and those that Connection names) never reach a function, and
// X-Forwarded-* say what this gateway saw, or trusted proxies did, not what a client claimed. Called once per request by accept.ts.
import type { IncomingMessage } from 'node:http';
import type { FlatHeaders } from '../protocol/frames.ts';
import { isHttp2, peerOf, streamOf } from './doors/peer.ts';
import type { ForwardedLines } from './doors/forwarded.ts';
import type { TrustedProxies } from './doors/trusted-proxies.ts';

export interface RequestHead {
  host: string;
  /** Address of the client, and how it asked: as this node sees it, or as trusted proxies say. */
  client: string;
  scheme: 'http' | 'https';
  /** Declared length of the body; undefined when it is chunked; 0 when there is none. */
  contentLength: number | undefined;
  traceparent: string | undefined;
  requestId: string | undefined;
  /** Why it is refused: what is in front of us may have understood it differently. */
  problem: string | undefined;
  /** To pass on, names in lower case. */
  headers: FlatHeaders;
}

const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

export function readHead(request: IncomingMessage, proxies: TrustedProxies): RequestHead {
  const raw = request.rawHeaders;
  const headers: FlatHeaders = [];
  const { address, scheme, trusted } = peerOf(request);
  const head: RequestHead = {
    host: '',
    client: address,
    scheme,
    contentLength: 0,
    traceparent: undefined,
    requestId: undefined,
    problem: undefined,
    headers,
  };
  let hosts = 0;
  let named: string[] | undefined;
  let forwarded: ForwardedLines | undefined;
  let cookies: string | undefined;
  const second = isHttp2(request);
  // RFC 9113, section 8.1.1: a body need not say its length there.
  if (second && !streamOf(request).endAfterHeaders) head.contentLength = undefined;
  // The parser of HTTP/1 takes 0.9 and 2.0 as well, in the form of 1.1; what really is HTTP/2 comes as another class.
  if (!second && request.httpVersionMajor !== 1) head.problem = `HTTP/${request.httpVersion} is not spoken on this connection`;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!;
    switch (name) {
      case 'connection':
        if (value.length > 10 || (value !== 'keep-alive' && value.toLowerCase() !== 'close')) {
          named = value
            .toLowerCase()
            .split(',')
            .map((token) => token.trim());
        }
        continue;
      case 'transfer-encoding':
        // The parser takes any list that ends in chunked, but undoes only that one; chunked twice is nothing at all.
        if (value.toLowerCase() !== 'chunked' || head.contentLength === undefined)
          head.problem = `the Transfer-Encoding '${value.slice(0, 200)}' is not served here; 'chunked', once, is`;
        else if (request.httpVersionMinor === 0) head.problem = 'HTTP/1.0 has no Transfer-Encoding';
        head.contentLength = undefined;
        continue;
      case 'keep-alive':
      case 'proxy-connection':
      case 'proxy-authorization':
      case 'te':
      case 'trailer':
      case 'upgrade':
      case 'expect':
      case ':method':
      case ':path':
      case ':scheme':
        continue;
      case 'forwarded':
        if (trusted) (forwarded ??= {}).forwarded = joined(forwarded.forwarded, value);
        continue;
      case 'x-forwarded-for':
        if (trusted) (forwarded ??= {}).for = joined(forwarded.for, value);
        continue;
      case 'x-forwarded-proto':
        if (trusted) (forwarded ??= {}).proto = joined(forwarded.proto, value);
        continue;
      case 'x-forwarded-host':
        if (trusted) (forwarded ??= {}).host = joined(forwarded.host, value);
        continue;
      case 'x-forwarded-port':
      case 'x-real-ip':
      // Ours to say, whoever calls.
      case 'x-virga-principal':
        continue;
      case 'traceparent':
        head.traceparent = value;
        continue;
      case 'x-request-id':
        if (REQUEST_ID.test(value)) head.requestId = value;
        continue;
      case ':authority':
        head.host = value;
        headers.push('host', value);
        continue;
      case 'host':
        // The authority of HTTP/2 is above it (RFC 9113, section 8.3.1).
        if (second && head.host !== '') continue;
        if (++hosts > 1) head.problem = 'there is more than one Host header';
        head.host = value;
        break;
      case 'cookie':
        if (!second) break;
        // Comes in pieces (RFC 9113, section 8.2.3).
        cookies = cookies === undefined ? value : `${cookies}; ${value}`;
        continue;
      case 'content-length':
        head.contentLength = Number(value);
        break;
    }
    headers.push(name, value);
  }
  if (named !== undefined) dropNamed(headers, named);
  if (cookies !== undefined) headers.push('cookie', cookies);
  // Of HTTP/1.0, which need not have one; a URL needs some name.
  if (head.host === '') head.host = 'localhost';
  if (forwarded !== undefined) believe(head, forwarded, proxies);
  return head;
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/** What trusted proxies say takes the place of what this node sees, which is the last of them. */
function believe(head: RequestHead, lines: ForwardedLines, proxies: TrustedProxies): void {
  const { client, scheme, host } = proxies.resolve(head.client, lines);
  if (client !== undefined) head.client = client;
  if (scheme !== undefined) head.scheme = scheme;
  if (host === undefined) return;
  head.host = host;
  const { headers } = head;
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === 'host') headers[i + 1] = host;
}

/** Removes what `Connection` names; it can never take the body's framing or the host away. */
function dropNamed(headers: FlatHeaders, names: string[]): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const name = headers[i]!;
    if (name !== 'content-length' && name !== 'host' && names.includes(name)) headers.splice(i, 2);
  }
}
