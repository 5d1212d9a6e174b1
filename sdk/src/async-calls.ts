// The part of the client for asynchronous invocations: `virga.async`. Used by control.ts.
import type { AsyncAccepted, AsyncDetail, AsyncFilter, AsyncItem } from '../../src/protocol/async-api.ts';
import { pathOf } from './calls.ts';
import type { CallOptions, Calls, Listing } from './calls.ts';

export interface InvokeAsyncOptions extends CallOptions {
  /** Default: the one that is served when it runs. */
  version?: number | undefined;
  requestId?: string | undefined;
  /** The same key for the same request: there is one invocation of it, however often it is sent. */
  idempotencyKey?: string | undefined;
}

export class AsyncCalls {
  readonly #calls: Calls;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Calls a function without waiting: resolves when the invocation is durable. `read()` says what became of it. */
  invoke(
    project: string,
    fn: string,
    payload: { body?: Uint8Array | string | undefined; /** Default `application/json`. */ contentType?: string | undefined } = {},
    options: InvokeAsyncOptions = {},
  ): Promise<AsyncAccepted> {
    return this.#calls.transport.json({
      method: 'POST',
      path: pathOf(project, 'functions', fn, 'invoke-async'),
      query: { version: options.version },
      body: { bytes: payload.body ?? '', contentType: payload.contentType ?? 'application/json' },
      signal: options.signal,
      requestId: options.requestId,
      ...(options.idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': JSON.stringify(options.idempotencyKey) } }),
    });
  }

  /** Newest first. */
  list(project: string, filter: AsyncFilter = {}, options: CallOptions = {}): Listing<AsyncItem> {
    return this.#calls.list(pathOf(project, 'async-invocations'), { function: filter.function, state: filter.state }, options);
  }

  read(project: string, id: string, options: CallOptions = {}): Promise<AsyncDetail> {
    return this.#calls.get(pathOf(project, 'async-invocations', id), options);
  }

  /** Only one that waits. Rejects with `invocation_not_queued` else. */
  cancel(project: string, id: string, options: CallOptions = {}): Promise<AsyncItem> {
    return this.#calls.transport.json({ method: 'DELETE', path: pathOf(project, 'async-invocations', id), signal: options.signal });
  }
}
