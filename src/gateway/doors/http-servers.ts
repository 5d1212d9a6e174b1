// The servers of HTTP/1.1 and HTTP/2 behind all doors, with their limits. Invariant: what is not HTTP is answered once, with an
// error of the table, and its connection is closed; a broken-off answer never looks whole. Made by accept.ts.
import { createServer, validateHeaderName, validateHeaderValue } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { constants, createServer as createHttp2Server, Http2ServerResponse } from 'node:http2';
import type { Http2Server, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { newId } from '../../lib/ids.ts';
import { ERRORS, VirgaError, errorBody } from '../../protocol/errors.ts';
import { endWithLast, isLast } from '../last-answer.ts';
import { isHttp2 } from './peer.ts';

export interface HttpLimits {
  headBytesMax: number;
  headersMax: number;
  urlBytesMax: number;
  headTimeoutMs: number;
  streamsPerConnectionMax: number;
}

export type Accept = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => void;

/** requestTimeout and keepAliveTimeout 0: connections.ts sees to slow and idle clients. A request without a body is spared the stream of one. */
export function http1Server(limits: HttpLimits, accept: Accept, mayUpgrade: (request: IncomingMessage) => boolean): Server {
  const options: ServerOptions = {
    headersTimeout: limits.headTimeoutMs,
    connectionsCheckingInterval: Math.max(50, Math.min(10_000, limits.headTimeoutMs / 4)),
    requestTimeout: 0,
    keepAliveTimeout: 0,
    maxHeaderSize: limits.headBytesMax,
    optimizeEmptyRequests: true,
    shouldUpgradeCallback: mayUpgrade,
  };
  const server = createServer(options, (request, response) => accept(request, response, false));
  // What is beyond is dropped by the parser; one more shows that there is more.
  server.maxHeadersCount = limits.headersMax + 1;
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => accept(request, response, true));
  server.on('clientError', (error: Error & { code?: string; rawPacket?: Buffer }, socket: Duplex) => refuse(error, socket, limits));
  return server;
}

export function http2Server(limits: HttpLimits, accept: Accept): Http2Server {
  const server = createHttp2Server(
    {
      // Headers beyond these two end their stream; up to them a request with too many is answered by accept.ts.
      settings: { maxConcurrentStreams: limits.streamsPerConnectionMax, maxHeaderListSize: limits.headBytesMax * 2 },
      maxHeaderListPairs: limits.headersMax * 2 + 8,
      Http2ServerResponse: WholeOrBroken as unknown as typeof Http2ServerResponse,
    },
    (request, response) => accept(request as unknown as IncomingMessage, response as unknown as ServerResponse, false),
  );
  server.on('checkContinue', (request, response) =>
    accept(request as unknown as IncomingMessage, response as unknown as ServerResponse, true),
  );
  server.on('sessionError', () => {});
  return server;
}

/** As Node has it; its types promise a Writable that it is not. */
interface CompatResponse {
  readonly stream: ServerHttp2Stream;
  get writableFinished(): boolean;
  writeHead(status: number, headers: string[]): unknown;
}
const CompatResponse = Http2ServerResponse as unknown as new (...given: unknown[]) => CompatResponse;

/** What the rest of the gateway takes for granted of a response, where that of HTTP/2 differs from that of HTTP/1.1. */
class WholeOrBroken extends CompatResponse {
  get destroyed(): boolean {
    return this.stream.destroyed;
  }

  /** Node finishes whatever a client resets. */
  override get writableFinished(): boolean {
    return super.writableFinished && !this.stream.aborted && this.stream.rstCode === constants.NGHTTP2_NO_ERROR;
  }

  /** Node ends a stream that is destroyed without an error as if it were complete. */
  destroy(): this {
    if (!this.stream.destroyed) this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return this;
  }

  /** It lets control characters pass, and what was set before it threw would stay for the next. */
  override writeHead(status: number, headers: string[]): unknown {
    for (let i = 0; i + 1 < headers.length; i += 2) {
      validateHeaderName(headers[i]!);
      validateHeaderValue(headers[i]!, headers[i + 1]!);
    }
    return super.writeHead(status, headers);
  }
}

/** What HTTP/1.1's parser refused, as an answer; then the connection ends. */
function refuse(error: Error & { code?: string; rawPacket?: Buffer }, socket: Duplex, limits: HttpLimits): void {
  // Each piece that still comes is refused by the parser again.
  if (isLast(socket) && error.code !== 'ECONNRESET') return;
  if (!socket.writable || socket.destroyed || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  // An answer under way must not be mixed with another.
  const { _httpMessage: message } = socket as { _httpMessage?: { headersSent: boolean; finished: boolean } };
  if (message?.headersSent === true) {
    if (message.finished) endWithLast(socket);
    else socket.destroy();
    return;
  }
  const failure = failureOf(error, limits);
  const requestId = newId('inv');
  const body = JSON.stringify(errorBody(failure, requestId));
  endWithLast(
    socket,
    `HTTP/1.1 ${failure.status} ${REASONS[failure.status] ?? 'Bad Request'}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${requestId}\r\nconnection: close\r\n\r\n${body}`,
  );
}

const REASONS: Partial<Record<number, string>> = {
  [ERRORS.request_timeout.status]: 'Request Timeout',
  [ERRORS.url_too_long.status]: 'URI Too Long',
  [ERRORS.headers_too_large.status]: 'Request Header Fields Too Large',
};

function failureOf(error: Error & { code?: string; rawPacket?: Buffer }, limits: HttpLimits): VirgaError {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW': {
      const packet = error.rawPacket;
      const isUrl = packet !== undefined && /^[A-Z]{1,20} /.test(packet.toString('latin1', 0, 24)) && !packet.includes('\n');
      return isUrl ? urlTooLong(limits.urlBytesMax) : headersTooLarge(limits);
    }
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new VirgaError(
        'request_timeout',
        `the request did not arrive within ${limits.headTimeoutMs} ms (VIRGA_LIMIT_HEAD_TIMEOUT_MS)`,
      );
    default:
      return new VirgaError('invalid_request', `this is not a request of HTTP/1.1: ${error.message.replace(/^Parse Error: /, '')}`);
  }
}

/** Of a request that the parser took: what of its head is more than this node takes. */
export function headTooLarge(request: IncomingMessage, limits: HttpLimits): VirgaError | undefined {
  if ((request.url?.length ?? 0) > limits.urlBytesMax) return urlTooLong(limits.urlBytesMax);
  const { rawHeaders } = request;
  const hasPseudo = isHttp2(request);
  if (rawHeaders.length / 2 > (hasPseudo ? limits.headersMax + 4 : limits.headersMax)) return headersTooLarge(limits);
  if (!hasPseudo) return undefined;
  let bytes = 0;
  for (const part of rawHeaders) bytes += part.length;
  return bytes > limits.headBytesMax ? headersTooLarge(limits) : undefined;
}

function urlTooLong(bytesMax: number): VirgaError {
  return new VirgaError('url_too_long', `the URL is longer than the ${bytesMax} bytes that this node accepts (VIRGA_LIMIT_URL_BYTES)`);
}

function headersTooLarge({ headBytesMax, headersMax }: HttpLimits): VirgaError {
  return new VirgaError(
    'headers_too_large',
    `the headers are more than this node accepts: ${headersMax} (VIRGA_LIMIT_HEADERS) of ${headBytesMax} bytes in all (VIRGA_LIMIT_HEAD_BYTES)`,
  );
}
