// Web style: a standard Request goes in, a standard Response comes out; also how a web-style function without an
// `event` export gets an event (as a POST). Invariant: the body of the Response is read only as fast as the host takes
// it, and is cancelled when nobody wants it any more. Called by serve.ts.
//
// The body of `new Response('text')` never becomes a stream on its way (response.ts); any other is read as one.
import type { EventRequestMeta, HttpRequestMeta, ResponseMeta } from '../../protocol/frames.ts';
import type { Context } from './context.ts';
import { BadResponse } from './failure.ts';
import type { Invocation } from './invocation.ts';
import { makeRequest } from './request.ts';
import { takeWhole } from './response.ts';

export type FetchFunction = (request: Request, context: Context) => unknown;

const NOTHING = Buffer.alloc(0);

/** `init`: what the Request has besides; a form's word. */
export async function callFetch(fetch: FetchFunction, invocation: Invocation, context: Context, init?: RequestInit): Promise<void> {
  const { answer } = invocation;
  const meta = invocation.meta.kind === 'http' ? invocation.meta : asPost(invocation.meta, context.function);
  const response = await fetch(makeRequest(invocation, meta, init), context);
  // A body that is there as a whole goes out as it stands.
  const whole = response instanceof Response ? takeWhole(response) : undefined;
  if (whole !== undefined) {
    const head = headOf(response, null);
    return isBodiless(meta.method, head.status) ? answer.empty(head) : answer.whole(head, whole);
  }
  const head = headOf(response, (response as Response | undefined)?.body);
  const { body } = response as Response;
  if (isBodiless(meta.method, head.status)) {
    answer.empty(head);
    if (body) await cancel(body);
  } else if (!body) await answer.whole(head, NOTHING);
  else {
    const reader = readerOf(body);
    answer.onCancel = () => void reader.cancel(new DOMException('the client left', 'AbortError')).catch(() => {});
    if (answer.closed) return answer.onCancel();
    answer.head(head);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!(value instanceof Uint8Array))
        throw new BadResponse(
          `the body stream of its Response gave ${nameOf(value)}; its chunks must be Uint8Array (pipe text through a TextEncoderStream)`,
        );
      const wait = answer.write(value);
      if (wait !== undefined) await wait;
    }
    answer.onCancel = undefined;
    answer.end();
  }
}

function isBodiless(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 205 || status === 304;
}

function asPost(meta: EventRequestMeta, name: string): HttpRequestMeta {
  return {
    kind: 'http',
    id: meta.id,
    trace: meta.trace,
    method: 'POST',
    url: `http://${name}.internal/`,
    headers: ['content-type', meta.contentType, 'traceparent', meta.trace],
    route: '/',
    params: {},
    client: '',
  };
}

/** Checks what fetch() returned. */
function headOf(response: unknown, body: Response['body'] | undefined): ResponseMeta {
  if (!isResponse(response))
    throw new BadResponse(
      `fetch() returned ${nameOf(response)}; it must return a Response, e.g. new Response('hello') or Response.json({ … })`,
    );
  const { status } = response;
  if (status < 200 || status > 599) throw new BadResponse(`fetch() returned a Response with status ${status}; it must be from 200 to 599`);
  if (body && (response.bodyUsed || body.locked))
    throw new BadResponse('the body of its Response has been read already; return a Response with a body of its own');
  return { status, headers: flatHeaders(response) };
}

/** Other implementations of Response (node-fetch, undici from npm) are as good as Node's. */
function isResponse(value: unknown): value is Response {
  if (value instanceof Response) return true;
  if (typeof value !== 'object' || value === null) return false;
  const { status, headers, body } = value as Partial<Response>;
  return typeof status === 'number' && typeof headers?.[Symbol.iterator] === 'function' && body !== undefined;
}

function flatHeaders(response: Response): string[] {
  const flat: string[] = [];
  // A Response that came from fetch() has its body decoded, but still the headers of the encoded one.
  const decoded = response.url !== '' && response.url !== undefined && response.headers.has('content-encoding');
  for (const [name, value] of response.headers) {
    if (decoded && (name === 'content-encoding' || name === 'content-length')) continue;
    flat.push(name, value);
  }
  return flat;
}

function readerOf(body: ReadableStream<unknown> | AsyncIterable<unknown>): ReadableStreamDefaultReader<unknown> {
  return 'getReader' in body ? body.getReader() : ReadableStream.from(body).getReader();
}

async function cancel(body: ReadableStream<unknown>): Promise<void> {
  try {
    await body.cancel();
  } catch {
    // Its source fails while closing; the answer is complete all the same.
  }
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  const name = value.constructor?.name;
  return name === undefined || name === 'Object' ? 'a plain object' : `a value of class ${name}`;
}
