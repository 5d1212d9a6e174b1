// What the gateway itself puts on an answer: error bodies, the receipt in Server-Timing, ids, and the rules for headers
// that come from a function. Called by exchange.ts, upgrade.ts and accept.ts.
import type { ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { pipeline } from 'node:stream';
import type { Call } from '../functions/call.ts';
import { receiptOf } from '../functions/record.ts';
import { decimalMs } from '../lib/decimal-ms.ts';
import { ERRORS, VirgaError, errorBody } from '../protocol/errors.ts';
import type { FlatHeaders } from '../protocol/frames.ts';
import type { Admission } from './admit.ts';
import { isHttp2, streamOf } from './doors/peer.ts';
import { headerIn } from './flat-headers.ts';
import { markLast } from './last-answer.ts';
import { isRefusal } from './stage.ts';
import type { LocalAnswer, Verdict } from './stage.ts';

/** Larger bodies are not copied into a string. */
const JOINED_BYTES_MAX = 4096;
const LENGTH = /^\d{1,15}$/;
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
]);

/** The function's headers without those of the connection, then ours. `call`: there is none for what a stage answers in its place. */
export function answerHeaders(
  headers: FlatHeaders,
  call: Call | undefined,
  requestId: string,
  fixedLength: number | undefined,
): FlatHeaders {
  const out: FlatHeaders = [];
  let hasLength = false;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!;
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || lower === 'x-request-id') continue;
    if (lower === 'content-length') {
      // A function's own count is kept only where it cannot disagree with what is sent: for HEAD, and for a body that streams.
      if (fixedLength !== undefined || hasLength || !LENGTH.test(headers[i + 1]!)) continue;
      hasLength = true;
    }
    out.push(name, headers[i + 1]!);
  }
  if (fixedLength !== undefined && !hasLength) out.push('content-length', String(fixedLength));
  out.push('x-request-id', requestId);
  if (call !== undefined) out.push('x-virga-invocation', call.request.meta.id, 'server-timing', serverTiming(call));
  return out;
}

/** Of an answer that changes the protocol: Connection and Upgrade belong to it, and there is no body to describe. */
export function upgradeHeaders(headers: FlatHeaders, call: Call, requestId: string): FlatHeaders {
  const out: FlatHeaders = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase();
    const ofConnection = HOP_BY_HOP.has(lower) && lower !== 'connection' && lower !== 'upgrade';
    if (!ofConnection && lower !== 'content-length' && lower !== 'x-request-id') out.push(headers[i]!, headers[i + 1]!);
  }
  out.push('x-request-id', requestId, 'x-virga-invocation', call.request.meta.id, 'server-timing', serverTiming(call));
  return out;
}

/** https://www.w3.org/TR/server-timing/ — the handler's time is up to the head of the answer, since the header leaves with it. */
export function serverTiming(call: Call): string {
  const now = performance.now();
  if (call.cold === undefined && call.runningAt > 0)
    return `warm, queue;dur=${decimalMs(call.runningAt - call.acceptedAt)}, handler;dur=${decimalMs(now - call.runningAt)}`;
  const r = receiptOf(call, now);
  if (!r.cold) return `warm, queue;dur=${decimalMs(r.queueMs)}, handler;dur=${decimalMs(r.handlerMs)}`;
  return `cold, queue;dur=${decimalMs(r.queueMs)}, sandbox;dur=${decimalMs(r.sandboxMs)}, load;dur=${decimalMs(r.loadMs)}, init;dur=${decimalMs(r.initMs)}, handler;dur=${decimalMs(r.handlerMs)}`;
}

export function respondError(
  response: ServerResponse,
  error: VirgaError,
  options: {
    requestId: string;
    allow?: string[];
    close?: boolean;
    call?: Call;
    headers?: FlatHeaders;
    admission?: Admission | undefined;
  },
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const body = Buffer.from(JSON.stringify(errorBody(error, options.requestId)));
  const headers: FlatHeaders = [
    'content-type',
    'application/json',
    'content-length',
    String(body.length),
    'x-request-id',
    options.requestId,
  ];
  if (options.allow !== undefined) headers.push('allow', options.allow.join(', '));
  if (ERRORS[error.code].retry === 'later' && error.status !== 409) headers.push('retry-after', String(error.retryAfterS ?? 1));
  if (options.call !== undefined)
    headers.push('x-virga-invocation', options.call.request.meta.id, 'server-timing', serverTiming(options.call));
  if (options.headers !== undefined) headers.push(...options.headers);
  options.admission?.answered(error.status, headers);
  if (options.close === true) closeAfter(response, headers);
  response.writeHead(error.status, headers);
  endWith(response, body);
}

/** The same request by HTTPS; the method and the body stay (308). */
export function respondRedirect(response: ServerResponse, to: { host: string; port: number; target: string }, requestId: string): void {
  const location = secureUrl(to);
  if (location === undefined) {
    respondError(response, new VirgaError('invalid_request', `the Host header '${to.host.slice(0, 200)}' is not a host`), { requestId });
    return;
  }
  const headers: FlatHeaders = ['location', location, 'content-length', '0', 'x-request-id', requestId];
  response.writeHead(308, headers);
  response.end();
}

/** undefined: the host is none, or the target no path. */
export function secureUrl({ host, port, target }: { host: string; port: number; target: string }): string | undefined {
  const name = /^([A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/.exec(host)?.[1];
  // Of a target in absolute form the rest is what counts.
  const path = /^(?:https?:\/\/[^/?#]*)?(\/.*)$/i.exec(target)?.[1];
  return name === undefined || path === undefined ? undefined : `https://${name}${port === 443 ? '' : `:${port}`}${path}`;
}

/** What is still to come of the request is not wanted: the connection ends with the answer, of HTTP/2 only the stream. */
function closeAfter(response: ServerResponse, headers: FlatHeaders): void {
  if (!isHttp2(response.req)) {
    headers.push('connection', 'close');
    markLast(response);
  } else {
    const stream = streamOf(response.req);
    response.on('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
  }
}

/** What a stage said instead of going on. */
export function conclude(admission: Admission, response: ServerResponse, verdict: NonNullable<Verdict>): void {
  const request = admission.incoming;
  if (isRefusal(verdict)) {
    respondError(response, verdict.error, {
      requestId: admission.requestId,
      close: !request.complete,
      admission,
      ...(verdict.headers === undefined ? {} : { headers: verdict.headers }),
    });
  } else respondLocally(response, verdict, admission);
  request.resume();
}

/** An answer that no function was called for. A stream that breaks off breaks the connection off: half an answer must not look whole. */
export function respondLocally(response: ServerResponse, answer: LocalAnswer, admission: Admission): void {
  const { status, body } = answer;
  if (response.destroyed) {
    if (body !== undefined && !Buffer.isBuffer(body)) body.destroy();
    return;
  }
  const headers = [...answer.headers, 'x-request-id', admission.requestId];
  const isBuffer = body === undefined || Buffer.isBuffer(body);
  const noBody = status === 204 || status === 304;
  if (isBuffer && !noBody && headerIn(headers, 'content-length') === undefined) headers.push('content-length', String(body?.length ?? 0));
  try {
    admission.answered(status, headers);
    response.writeHead(status, headers);
  } catch (error) {
    // A mistake of ours in one answer is that request's failure, not the edge's.
    if (!isBuffer) body.destroy();
    const message = `the gateway made an answer that cannot be sent: ${error instanceof Error ? error.message : String(error)}`;
    respondError(response, new VirgaError('internal', message), { requestId: admission.requestId, close: true });
    return;
  }
  if (noBody || body === undefined || admission.method === 'HEAD') {
    if (!isBuffer) body.destroy();
    response.end();
  } else if (isBuffer) endWith(response, body);
  else pipeline(body, response, () => {});
}

/**
 * Ends an answer with its whole body. node:http joins a string to the head and writes both at once; a Buffer goes beside the
 * head through writev. Latin-1 is one character a byte, so any bytes survive. At 32 connections the gateway alone (a route
 * that does not exist) goes from 71,000 to 78,000 requests/s on 2 cores.
 */
export function endWith(response: ServerResponse, body: Buffer): void {
  if (body.length <= JOINED_BYTES_MAX) response.end(body.toString('latin1'), 'latin1');
  else response.end(body);
}
