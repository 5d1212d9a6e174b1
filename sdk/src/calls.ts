// What the parts of the client share: requests that answer JSON, and lists in pages. Used by control.ts, queues.ts and async-calls.ts.
import type { Page } from '../../src/protocol/control-api.ts';
import type { Transport } from './transport.ts';

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

export interface PageOptions extends CallOptions {
  /** Items in one answer, 1 to 1,000; default 100. */
  limit?: number | undefined;
  /** `next` of the page before. */
  cursor?: string | undefined;
}

/** A list: iterate over all of it (pages are fetched as needed), or ask for one page. */
export interface Listing<T> extends AsyncIterable<T> {
  page(options?: PageOptions): Promise<Page<T>>;
}

export class Calls {
  readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  get<T>(path: string, options: CallOptions, query: Record<string, string | number | boolean | undefined> = {}): Promise<T> {
    return this.transport.json({ method: 'GET', path, query, signal: options.signal });
  }

  post<T>(path: string, json: unknown, options: CallOptions): Promise<T> {
    return this.transport.json({ method: 'POST', path, json, signal: options.signal });
  }

  list<T>(path: string, filter: Record<string, string | number | undefined>, base: CallOptions, pageMax = 1_000): Listing<T> {
    const page = (options: PageOptions = {}): Promise<Page<T>> =>
      this.get(path, { signal: options.signal ?? base.signal }, { ...filter, limit: options.limit, cursor: options.cursor });
    return {
      page,
      async *[Symbol.asyncIterator]() {
        let cursor: string | undefined;
        do {
          const answer = await page({ limit: pageMax, cursor });
          yield* answer.items;
          cursor = answer.next ?? undefined;
        } while (cursor !== undefined);
      },
    };
  }
}

export function pathOf(...segments: string[]): string {
  return `/v1/projects/${segments.map((segment) => encodeURIComponent(segment)).join('/')}`;
}
