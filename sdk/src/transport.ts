// One request to the control API: adds the token, bounds the wait, and turns every failure into a VirgaApiError.
// Invariant: a caller's own abort is passed on as it is (its `signal.reason`); everything else that fails is a
// VirgaApiError. Used by control.ts only.
import { apiErrorOf, VirgaApiError } from './api-error.ts';

export interface TransportOptions {
  /** e.g. `http://127.0.0.1:8081`. */
  url: string;
  token: string;
  /** Bound of an operation that should be quick, ms. Default 30,000. */
  timeoutMs?: number;
  /** Sent as `user-agent`. */
  userAgent?: string;
  /** Instead of the global one. */
  fetch?: typeof fetch;
}

export interface ApiRequest {
  method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** Beginning with `/v1/`, already encoded. */
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: { bytes: Uint8Array | string | ReadableStream<Uint8Array>; contentType: string; length?: number };
  signal?: AbortSignal | undefined;
  /** null: no bound but the signal. */
  timeoutMs?: number | null;
  requestId?: string | undefined;
  headers?: Record<string, string>;
}

export class Transport {
  readonly url: string;
  readonly #token: string;
  readonly #timeoutMs: number;
  readonly #userAgent: string;
  readonly #fetch: typeof fetch;

  constructor(options: TransportOptions) {
    this.url = options.url.replace(/\/+$/, '');
    this.#token = options.token;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#userAgent = options.userAgent ?? 'virga-sdk';
    this.#fetch = options.fetch ?? fetch;
  }

  /** Resolves with a 2xx answer, its body unread. */
  async send(request: ApiRequest): Promise<Response> {
    const url = `${this.url}${request.path}${queryOf(request.query)}`;
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#token}`,
      accept: 'application/json, application/x-ndjson',
      'user-agent': this.#userAgent,
      ...request.headers,
    };
    if (request.requestId !== undefined) headers['x-request-id'] = request.requestId;
    const init: RequestInit & { duplex?: 'half' } = { method: request.method, headers, redirect: 'error' };
    if (request.json !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(request.json);
    } else if (request.body !== undefined) {
      headers['content-type'] = request.body.contentType;
      if (request.body.length !== undefined) headers['content-length'] = String(request.body.length);
      init.body = request.body.bytes as NonNullable<RequestInit['body']>;
      init.duplex = 'half';
    }
    const timeoutMs = request.timeoutMs === undefined ? this.#timeoutMs : request.timeoutMs;
    const timeout = timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [request.signal, timeout].filter((signal) => signal !== undefined);
    if (signals.length > 0) init.signal = AbortSignal.any(signals);
    let response: Response;
    try {
      response = await this.#fetch(url, init);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw this.unreachable(error, timeout?.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(error));
    }
    if (!response.ok) throw await apiErrorOf(response, url);
    return response;
  }

  /** The same, with the JSON of the answer. */
  async json<T>(request: ApiRequest): Promise<T> {
    const response = await this.send(request);
    let text: string;
    try {
      text = await response.text();
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw this.unreachable(error, `the answer broke off: ${reasonOf(error)}`);
    }
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      const message = `${this.url}${request.path} answered something that is not JSON; check that this is the URL of Virga's control API`;
      const requestId = response.headers.get('x-request-id') ?? '';
      throw new VirgaApiError('bad_answer', message, { status: response.status, fault: 'caller', requestId, cause: error });
    }
  }

  unreachable(cause: unknown, reason: string): VirgaApiError {
    const message = `Virga's control API at ${this.url} cannot be reached (${reason}); is \`virga start\` running there?`;
    return new VirgaApiError('unreachable', message, { status: 0, fault: 'platform', requestId: '', cause });
  }
}

function queryOf(query: ApiRequest['query']): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) params.set(name, String(value));
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}

/** `fetch failed` says nothing; its cause does. */
export function reasonOf(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error && current.cause !== undefined; depth++) current = current.cause;
  if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0];
  return current instanceof Error && current.message !== '' ? current.message : String(current);
}
