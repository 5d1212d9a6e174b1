// What the engine is asked to run for a request. Called by accept.ts once for each call.
// Invariant: X-Forwarded-* say what this gateway saw; the record of a call has no query.
import type { CallRequest } from '../functions/call.ts';
import { continueTrace } from '../lib/traceparent.ts';
import type { Exchange } from './exchange.ts';
import type { RequestHead } from './request-head.ts';
import type { Routed } from './route.ts';
import type { UpgradeExchange } from './upgrade.ts';

export function callRequest(
  exchange: Pick<Exchange | UpgradeExchange, 'request' | 'requestId' | 'heldBytes' | 'sink'>,
  head: RequestHead,
  routed: Routed,
  { id, body, bodyEnds }: { id: string; body: Buffer | undefined; bodyEnds: boolean },
): CallRequest {
  const { request } = exchange;
  const trace = continueTrace(head.traceparent);
  const client = request.socket.remoteAddress ?? '';
  head.headers.push(
    'traceparent',
    trace.traceparent,
    'x-request-id',
    exchange.requestId,
    'x-forwarded-for',
    client,
    'x-forwarded-proto',
    'http',
  );
  const method = request.method ?? 'GET';
  return {
    // Local targets have been answered by now.
    version: routed.to.version!,
    meta: {
      kind: 'http',
      id,
      trace: trace.traceparent,
      method,
      url: `http://${head.host}${routed.target}`,
      headers: head.headers,
      route: routed.route,
      params: routed.params,
      client,
    },
    traceId: trace.traceId,
    body,
    bodyEnds,
    trigger: 'http',
    requestLine: requestLine(method, routed.target),
    ...(exchange.heldBytes === 0 ? {} : { heldBytes: exchange.heldBytes }),
    sink: exchange.sink,
  };
}

/** Method and path for the record: no query, since that may hold what nobody should log. */
function requestLine(method: string, target: string): string {
  const query = target.indexOf('?');
  return `${method} ${(query < 0 ? target : target.slice(0, query)).slice(0, 512)}`;
}
