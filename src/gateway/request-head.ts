// One pass over the raw headers of a request: what the gateway itself needs, and what is passed on to the function.
// Invariant: hop-by-hop headers (RFC 9110, section 7.6.1, and those that Connection names) never reach a function, and
// X-Forwarded-* say what this gateway saw, not what a client claimed. Called once per request by accept.ts.
import { IncomingMessage } from 'node:http';
import type { FlatHeaders } from '../protocol/frames.ts';

export interface RequestHead {
  host: string;
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

export function readHead(request: IncomingMessage): RequestHead {
  const raw = request.rawHeaders;
  const headers: FlatHeaders = [];
  const head: RequestHead = { host: '', contentLength: 0, traceparent: undefined, requestId: undefined, problem: undefined, headers };
  let named: string[] | undefined;
  let hosts = 0;
  // The parser of HTTP/1 takes 0.9 and 2.0 as well, in the form of 1.1; what really is HTTP/2 comes as another class.
  if (request.httpVersionMajor !== 1 && request instanceof IncomingMessage)
    head.problem = `HTTP/${request.httpVersion} is not spoken on this connection`;
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
      case 'forwarded':
      case 'x-forwarded-for':
      case 'x-forwarded-proto':
      case 'x-forwarded-host':
      case 'x-forwarded-port':
      case 'x-real-ip':
        continue;
      case 'traceparent':
        head.traceparent = value;
        continue;
      case 'x-request-id':
        if (REQUEST_ID.test(value)) head.requestId = value;
        continue;
      case 'host':
        if (++hosts > 1) head.problem = 'there is more than one Host header';
        head.host = value;
        break;
      case 'content-length':
        head.contentLength = Number(value);
        break;
    }
    headers.push(name, value);
  }
  if (named !== undefined) dropNamed(headers, named);
  // Of HTTP/1.0, which need not have one; a URL needs some name.
  if (head.host === '') head.host = 'localhost';
  return head;
}

/** Removes what `Connection` names; it can never take the body's framing or the host away. */
function dropNamed(headers: FlatHeaders, names: string[]): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    const name = headers[i]!;
    if (name !== 'content-length' && name !== 'host' && names.includes(name)) headers.splice(i, 2);
  }
}
