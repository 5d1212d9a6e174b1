// A line for each request, when it is over. Invariant: Authorization, cookies and values of the query that look like secrets are
// in none of them. Nothing of it is there on a node without an access log. Called by accept.ts.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Admission } from '../admit.ts';
import { isHttp2, peerOf } from '../doors/peer.ts';
import type { RequestHead } from '../request-head.ts';
import type { RouteResult } from '../route.ts';
import { commonLine, jsonLine } from './log-line.ts';
import { redactUrl } from './redact.ts';

const PATH_LENGTH_MAX = 2_048;
const TEXT_LENGTH_MAX = 512;
/** What nobody was answered with: the client left first. */
const LEFT = 499;

/** What becomes known of a request on its way. */
export interface Entry {
  routed: RouteResult | undefined;
  admission: Admission | undefined;
}

export interface UpgradeEntry extends Entry {
  status: () => number;
}

export class AccessLog {
  readonly #line: typeof jsonLine;
  readonly #add: (line: string) => void;

  constructor(format: 'json' | 'common', add: (line: string) => void) {
    this.#line = format === 'json' ? jsonLine : commonLine;
    this.#add = add;
  }

  begin(request: IncomingMessage, response: ServerResponse, head: RequestHead, requestId: string): Entry {
    const entry: Entry = { routed: undefined, admission: undefined };
    const startedAt = performance.now();
    // Asked for now: a connection of HTTP/2 does not know it any more when it is closed.
    const { tls } = peerOf(request);
    const bytes = countBody(response, isHttp2(request));
    response.once('close', () => {
      const status = response.headersSent ? response.statusCode : LEFT;
      this.#write(request, { head, requestId, entry, startedAt, status, tls, bytes: bytes() });
    });
    return entry;
  }

  /** A connection that asks for another protocol: one line when it is over. */
  beginUpgrade(request: IncomingMessage, socket: Duplex, head: RequestHead, requestId: string): UpgradeEntry {
    const entry: UpgradeEntry = { routed: undefined, admission: undefined, status: () => LEFT };
    const startedAt = performance.now();
    const { tls } = peerOf(request);
    socket.once('close', () => this.#write(request, { head, requestId, entry, startedAt, status: entry.status(), tls, bytes: 0 }));
    return entry;
  }

  #write(
    request: IncomingMessage,
    of: { head: RequestHead; requestId: string; entry: Entry; startedAt: number; status: number; tls: string | undefined; bytes: number },
  ): void {
    const { head, entry } = of;
    const durationMs = performance.now() - of.startedAt;
    const { routed } = entry;
    const found = routed?.kind === 'found' ? routed : routed?.kind === 'preflight' ? routed.routed : undefined;
    const { referer, 'user-agent': userAgent } = request.headers;
    this.#add(
      this.#line({
        at: Date.now() - durationMs,
        requestId: of.requestId,
        client: head.client,
        method: request.method ?? '',
        host: head.host.slice(0, TEXT_LENGTH_MAX),
        path: redactUrl(request.url ?? '', PATH_LENGTH_MAX),
        protocol: `HTTP/${request.httpVersion}`,
        tls: of.tls,
        status: of.status,
        bytes: of.bytes,
        durationMs: Math.round(durationMs * 1_000) / 1_000,
        project: found?.project,
        function: found?.to.version?.function,
        version: found?.to.version?.version,
        route: found?.route,
        principal: entry.admission?.principal?.id.slice(0, TEXT_LENGTH_MAX),
        referer: referer === undefined ? undefined : redactUrl(referer, TEXT_LENGTH_MAX),
        userAgent: userAgent?.slice(0, TEXT_LENGTH_MAX),
      }),
    );
  }
}

/** Of the body alone, as it is handed to the connection. */
function countBody(response: ServerResponse, second: boolean): () => number {
  let bytes = 0;
  const sizeOf = (chunk: unknown, encoding: unknown): number =>
    typeof chunk === 'string'
      ? Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8')
      : chunk instanceof Uint8Array
        ? chunk.length
        : 0;
  // What a response is asked to send, before it is sent. That of HTTP/2 ends by way of write.
  for (const name of second ? (['write'] as const) : (['write', 'end'] as const)) {
    const send = response[name].bind(response) as (...given: unknown[]) => never;
    response[name] = (...given: unknown[]): never => {
      bytes += sizeOf(given[0], given[1]);
      return send(...given);
    };
  }
  return () => bytes;
}
