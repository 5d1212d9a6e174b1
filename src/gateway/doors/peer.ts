// What is known of a connection before its first request: who it is from and how it came. Set by doors.ts, found again on
// each request of it, of HTTP/1.1 and HTTP/2 alike. Invariant: every connection of the gateway has one while it is open.
import type { X509Certificate } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';

export interface Peer {
  /** Address, as the connection or its PROXY header says. */
  address: string;
  scheme: 'http' | 'https';
  /** What it says of its clients counts. */
  trusted: boolean;
  /** e.g. `TLSv1.3`. */
  tls: string | undefined;
  /** The client's own, where its host asks for one (auth/certificate/): its key is proven, and nothing else of it. */
  certificate?: X509Certificate;
}

/** Of a connection of HTTP/2 that is closed. */
const GONE: Peer = { address: '', scheme: 'https', trusted: false, tls: undefined };
const PEER = Symbol('peer');
type Carrier = object & { [PEER]?: Peer };

export function setPeer(carrier: Carrier, peer: Peer): void {
  carrier[PEER] = peer;
}

export function peerOn(carrier: Carrier): Peer | undefined {
  return carrier[PEER];
}

export function peerOf(request: IncomingMessage): Peer {
  const carrier: Carrier | undefined = isHttp2(request) ? streamOf(request).session : request.socket;
  return carrier?.[PEER] ?? GONE;
}

/** By its class: the parser of HTTP/1 takes `HTTP/2.0` for a version. */
export function isHttp2(request: IncomingMessage): boolean {
  return !(request instanceof IncomingMessage);
}

/** Of a request of HTTP/2. */
export function streamOf(request: IncomingMessage): ServerHttp2Stream {
  return (request as unknown as { stream: ServerHttp2Stream }).stream;
}
