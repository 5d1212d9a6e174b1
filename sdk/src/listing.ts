// What calls of the control API take, and what lists of it are. Used by the parts of the client.
import type { Page } from '../../src/protocol/control-api.ts';

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
