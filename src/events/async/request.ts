// What an asynchronous invocation is to run: an event, or an HTTP request that is delivered later as that very request. It travels as the
// body of the message on the `async` queue, JSON, and is kept in that form with the outcome.
// Used by accept.ts, delivery.ts, and by replay.
import { createHash } from 'node:crypto';
import type { HttpCall } from '../invoker.ts';

export interface AsyncRequest {
  /** Absent: whatever is live when it runs. */
  version?: number;
  contentType: string;
  traceparent?: string;
  /** How many destinations led to it, one after the other. */
  hops?: number;
  /** Absent: the function gets the body as an event. */
  http?: HttpCall;
  /** Of a recording: the body was too large to be kept. */
  cut?: true;
  body: Buffer;
}

interface Written extends Omit<AsyncRequest, 'body'> {
  text?: string;
  base64?: string;
}

export function writeRequest({ body, ...rest }: AsyncRequest): string {
  const text = body.toString();
  // What is no UTF-8 would not come back as it was.
  const bytes = body.equals(Buffer.from(text)) ? { text } : { base64: body.toString('base64') };
  return JSON.stringify({ ...rest, ...bytes } satisfies Written);
}

/** undefined: it is none. */
export function readRequest(written: string): AsyncRequest | undefined {
  try {
    const { text, base64, ...rest } = JSON.parse(written) as Written;
    if (typeof rest.contentType !== 'string') return undefined;
    return { ...rest, body: text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text) };
  } catch {
    return undefined;
  }
}

/** Two requests under one idempotency key are the same when these are: headers may differ, as those of clients that try again do. */
export function fingerprintOf({ version, contentType, http, body }: AsyncRequest): Buffer {
  const head = [version ?? '', contentType, http?.method ?? '', http?.url ?? ''];
  return createHash('sha256').update(JSON.stringify(head)).update('\0').update(body).digest();
}

const SECRET_HEADERS = new Set(['authorization', 'proxy-authorization', 'cookie', 'x-api-key', 'x-virga-principal']);

/** As it may be kept once it has succeeded: nobody needs what the caller proved itself with any more. */
export function withoutSecrets(request: AsyncRequest): AsyncRequest {
  const { http } = request;
  if (http === undefined) return request;
  const headers = http.headers.flatMap((text, at) =>
    at % 2 === 0 && !SECRET_HEADERS.has(text.toLowerCase()) ? [text, http.headers[at + 1] ?? ''] : [],
  );
  return { ...request, http: { ...http, headers } };
}
