// Puts the control API on a port. Invariant: connections, headers and idle time are bounded; what is not even HTTP gets a
// JSON error too; close() ends what waits and idle connections at once and gives the rest `drainMs`. Called by server/control.ts.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { newId } from '../lib/ids.ts';
import { errorBody } from '../protocol/errors.ts';
import type { PlatformLog } from './context.ts';
import type { ControlApp } from './operation.ts';

const CONNECTIONS_MAX = 1_024;
const HEADER_BYTES_MAX = 16 * 1024;
const HEADERS_TIMEOUT_MS = 20_000;
const KEEP_ALIVE_MS = 65_000;

export interface ServeOptions {
  host: string;
  /** 0: any free one. */
  port: number;
  drainMs: number;
  /** Ends what waits and never would end by itself: followers, receivers. */
  onClose: () => void;
  log: PlatformLog;
}

export interface ServedControl {
  port: number;
  close(): Promise<void>;
}

/** Fails as listen() does, e.g. with EADDRINUSE. */
export async function serveControl(app: ControlApp, options: ServeOptions): Promise<ServedControl> {
  const listener = getRequestListener((request, env) => app.hono.fetch(request, env), {
    overrideGlobalObjects: false,
    errorHandler: (error) => refusal(400, error instanceof Error ? error.message : String(error)),
  });
  const server = createServer(
    // Bodies have an idle bound of their own (body.ts): an upload may take as long as it moves.
    { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
    const reason =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? `the headers have more than ${HEADER_BYTES_MAX} bytes`
        : `this is not HTTP (${error.code ?? error.message})`;
    const { headers, body } = refused(reason);
    const head = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(body)) });
    socket.end(`HTTP/1.1 400 Bad Request\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host: options.host, port: options.port }, resolve);
  await promise;
  server.off('error', reject);
  server.on('error', (error) => options.log('error', 'the control listener failed', { reason: error.message }));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async close() {
      const closed = new Promise<void>((done) => server.close(() => done()));
      options.onClose();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), options.drainMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function refused(reason: string): { headers: Record<string, string>; body: string } {
  const requestId = newId('req');
  const body = JSON.stringify(errorBody({ code: 'invalid_request', message: reason }, requestId));
  return { headers: { 'content-type': 'application/json', 'x-request-id': requestId }, body };
}

function refusal(status: number, reason: string): Response {
  const { headers, body } = refused(reason);
  return new Response(body, { status, headers });
}
