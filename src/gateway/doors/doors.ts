// The doors of the gateway: plain and TLS listeners, PROXY headers, the counts of connections; each lets connections in to
// the servers of HTTP/1.1 and HTTP/2, which know nothing of how they came.
//
//   TCP ─(PROXY header)─┬─ plain ──────────────────────────────▶ HTTP/1.1
//                       └─ TLS ─(SNI, ALPN)─┬─ http/1.1, none ─▶ HTTP/1.1
//                                           ├─ h2 ─────────────▶ HTTP/2
//                                           └─ acme-tls/1 ─────▶ a certificate that answers a challenge, no more
// Of TLS there are two servers: the second asks clients for certificates of their own, for hosts that want them.
// Invariant: a connection has its Peer before a server sees it. Made by accept.ts.
import { constants } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Identities } from '../tls/identities.ts';
import { TLS_OPTIONS } from '../tls/tls-options.ts';
import { helloOf } from '../tls/client-hello.ts';
import type { ConnectionCounts } from './connection-counts.ts';
import { readFirst } from './first-bytes.ts';
import { peerOn, setPeer } from './peer.ts';
import type { Peer } from './peer.ts';
import { readProxyHeader } from './proxy-header.ts';
import { plainAddress } from './trusted-proxies.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

export interface DoorOptions {
  proxies: TrustedProxies;
  proxyProtocol: boolean;
  counts: ConnectionCounts;
  /** For a PROXY header or a TLS handshake to arrive, ms. */
  timeoutMs: number;
}

export interface TlsDoorOptions {
  identities: Identities;
  /** What shows an ACME server that a name is ours (tls-alpn-01); undefined: nothing is asked of it now. */
  challenge?: (name: string) => Promise<SecureContext | undefined>;
  /** Which hosts ask their clients for certificates. */
  asking?: { readonly any: boolean; has(host: string): boolean };
}

const TICKET_KEYS_MS = 12 * 3_600_000;

/** What is known of a connection that just came; undefined: it is not taken, and closed. */
export function greet(
  socket: Socket,
  scheme: Peer['scheme'],
  options: DoorOptions,
  said?: { client: string | undefined },
): Peer | undefined {
  const direct = plainAddress(socket.remoteAddress);
  const address = said?.client === undefined ? direct : plainAddress(said.client);
  // Whoever speaks PROXY says the client's address; whether that one is a proxy too, its own address tells.
  const peer: Peer = { address, scheme, trusted: options.proxies.trusts(address), tls: undefined };
  if (direct !== '' && options.counts.admit(socket, peer)) {
    setPeer(socket, peer);
    return peer;
  }
  socket.on('error', () => {});
  socket.destroy();
  return undefined;
}

/** A listener for connections that begin with a PROXY header. */
export function proxyDoor(scheme: Peer['scheme'], options: DoorOptions, enter: (socket: Socket) => void): Server {
  return createServer({ allowHalfOpen: scheme === 'http', noDelay: true }, (socket) => {
    if (!options.proxies.trusts(plainAddress(socket.remoteAddress))) {
      socket.destroy();
      return;
    }
    let client: string | undefined;
    const take = (bytes: Buffer): number | 'more' | 'malformed' => {
      const header = readProxyHeader(bytes);
      if (header.kind !== 'header') return header.kind;
      client = header.client;
      return header.bytes;
    };
    readFirst(socket, options.timeoutMs, take, () => {
      if (greet(socket, scheme, options, { client }) !== undefined) enter(socket);
    });
  });
}

/** A listener for TLS. `enter` hears of each connection whose handshake is over. */
export function tlsDoor(
  options: DoorOptions,
  { identities, challenge, asking }: TlsDoorOptions,
  enter: (socket: TLSSocket) => void,
): Server {
  const common = {
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: options.timeoutMs,
    SNICallback: (name: string, answer: (error: Error | null, context?: SecureContext) => void) =>
      answer(null, identities.contextFor(name)),
  };
  const shaken = (socket: TLSSocket): void => {
    const peer = peerOn(Reflect.get(socket, '_parent') as Socket)!;
    const certificate = socket.getPeerX509Certificate();
    setPeer(socket, { ...peer, tls: socket.getProtocol() ?? undefined, ...(certificate === undefined ? {} : { certificate }) });
    enter(socket);
  };
  const tls = createTlsServer({ ...TLS_OPTIONS, ...identities.fallback, ticketKeys: identities.ticketKeys, ...common }, shaken);
  tls.on('tlsClientError', (_error, socket) => socket.destroy());
  // Who signed a certificate is looked at for each route (auth/certificate/). No session is resumed: each connection proves its key.
  const secureOptions = TLS_OPTIONS.secureOptions | constants.SSL_OP_NO_TICKET;
  const asks = createTlsServer(
    { ...TLS_OPTIONS, ...identities.fallback, secureOptions, ...common, requestCert: true, rejectUnauthorized: false },
    shaken,
  );
  asks.on('tlsClientError', (_error, socket) => socket.destroy());
  identities.onChange = () => {
    tls.setSecureContext({ ...TLS_OPTIONS, ...identities.fallback, ticketKeys: identities.ticketKeys });
    asks.setSecureContext({ ...TLS_OPTIONS, ...identities.fallback, secureOptions });
  };
  const rotation = setInterval(() => {
    identities.rotateTicketKeys();
    tls.setTicketKeys(identities.ticketKeys);
  }, TICKET_KEYS_MS);
  rotation.unref();

  const shake = (socket: Socket): void => {
    if (challenge === undefined && asking?.any !== true) {
      tls.emit('connection', socket);
      return;
    }
    let to: Server = tls;
    const look = (bytes: Buffer): number | 'more' | 'malformed' => {
      const hello = helloOf(bytes);
      if (typeof hello === 'string') return hello;
      if (challenge !== undefined && hello.protocols.includes('acme-tls/1')) to = answers;
      else if (hello.name !== undefined && asking?.has(hello.name) === true) to = asks;
      return 0;
    };
    readFirst(socket, options.timeoutMs, look, () => to.emit('connection', socket));
  };
  const answers = createTlsServer(
    {
      ...TLS_OPTIONS,
      ALPNProtocols: ['acme-tls/1'],
      handshakeTimeout: options.timeoutMs,
      SNICallback: (name, answer) => {
        challenge!(name).then(
          (context) => answer(null, context),
          (error: unknown) => answer(error as Error),
        );
      },
    },
    (socket) => socket.end(),
  );
  answers.on('tlsClientError', (_error, socket) => socket.destroy());

  const door = options.proxyProtocol
    ? proxyDoor('https', options, shake)
    : createServer({ noDelay: true }, (socket) => {
        if (greet(socket, 'https', options) !== undefined) shake(socket);
      });
  door.on('close', () => clearInterval(rotation));
  return door;
}
