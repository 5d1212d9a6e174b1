// An invocation as the HTTP request that the program gets: an HTTP call as the client made it (method, path and query, headers
// with Host as it was; the gateway has taken out those of the connection), an event as a POST to /, CloudEvents in the binary
// mode of their HTTP binding, as Eventarc and Knative send them. Pure. Called by web.ts.
import type { EventRequestMeta, FlatHeaders, HttpRequestMeta } from '../../../../protocol/frames.ts';
import type { Invocation } from '../../invocation.ts';
import { binaryMode } from './cloud-event.ts';

export interface ProgramRequest {
  method: string;
  /** All of it, with the empty line. */
  head: string;
  /** What goes with the head: the whole body, unless it streams. */
  body: Buffer | undefined;
  /** The body follows as it arrives. */
  streams: boolean;
  /** In chunks, since nobody knows its length. */
  chunked: boolean;
  /** It asks for another protocol on this connection. */
  upgrade: boolean;
}

/** In a head, which leaves as Latin-1: 'č' (U+010D) would be a line's end there. */
const UNSENDABLE = /[^\x20-\x7e]/g;
const BODIED = new Set(['POST', 'PUT', 'PATCH']);

export function httpRequest(meta: HttpRequestMeta, invocation: Invocation, functionName: string): ProgramRequest {
  const { method, url, headers } = meta;
  // Behind http://, at the first slash after the host.
  const path = url.slice(url.indexOf('/', 7));
  let head = `${method} ${path} HTTP/1.1\r\n`;
  let hasHost = false;
  let hasLength = false;
  let upgrade = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    head += `${name}: ${headers[i + 1]}\r\n`;
    if (name.length === 4) hasHost ||= name.toLowerCase() === 'host';
    else if (name.length === 14 && name.toLowerCase() === 'content-length') hasLength = true;
    // The gateway lets it through only where it is meant.
    else if (name.length === 7 && name.toLowerCase() === 'upgrade') upgrade = true;
  }
  // Of HTTP/1.0; servers of 1.1 refuse a request without it.
  if (!hasHost) head += `host: ${functionName}.internal\r\n`;
  if (upgrade) return { method, head: `${head}\r\n`, body: undefined, streams: false, chunked: false, upgrade };
  const body = invocation.body.whole;
  if (body === undefined) {
    return {
      method,
      head: `${head}${hasLength ? '' : 'transfer-encoding: chunked\r\n'}\r\n`,
      body,
      streams: true,
      chunked: !hasLength,
      upgrade,
    };
  }
  if (!hasLength && (body.length > 0 || BODIED.has(method))) head += `content-length: ${body.length}\r\n`;
  return { method, head: `${head}\r\n`, body, streams: false, chunked: false, upgrade };
}

export function eventRequest(meta: EventRequestMeta, payload: Buffer, functionName: string): ProgramRequest {
  const { headers, body } = binaryMode(meta.contentType, payload) ?? { headers: ['content-type', meta.contentType], body: payload };
  const all: FlatHeaders = [
    'host',
    `${functionName}.internal`,
    ...headers,
    'content-length',
    String(body.length),
    'traceparent',
    meta.trace,
  ];
  let head = 'POST / HTTP/1.1\r\n';
  for (let i = 0; i < all.length; i += 2) if (all[i + 1] !== '') head += `${all[i]}: ${all[i + 1]!.replaceAll(UNSENDABLE, '')}\r\n`;
  return { method: 'POST', head: `${head}\r\n`, body, streams: false, chunked: false, upgrade: false };
}
