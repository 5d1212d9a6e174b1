// Answers of operations that are asked for thousands of times a second, written to the connection by hand: a Response would be a stream
// that is read to its end, and took half of the time of a small request. Invariant: such an answer has the headers that control.ts
// gives to all others. Called by publish-messages.ts.
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ControlRequest } from './operation.ts';

/** Of every answer. */
export const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

export function answerAtOnce(c: ControlRequest, status: number, value: unknown): Response {
  const { outgoing } = c.env;
  const body = JSON.stringify(value);
  outgoing.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-request-id': c.get('requestId'),
    ...COMMON_HEADERS,
  });
  outgoing.end(body);
  return RESPONSE_ALREADY_SENT;
}

export function isAnswered(c: ControlRequest): boolean {
  return c.res === RESPONSE_ALREADY_SENT;
}
