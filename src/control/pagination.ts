// Pages of a list by opaque cursors: the key of the last item that was given, so that a list that changes meanwhile
// neither repeats nor skips what stays. Invariant: a cursor works only for the list that gave it. Used by the list operations.
import type { Page } from '../protocol/control-api.ts';
import { invalidRequest } from './problems.ts';

const LIMIT_DEFAULT = 100;

export interface PageRequest {
  /** One more than asked for is fetched, to know whether there is a next page. */
  limit: number;
  /** Key of the last item of the page before. */
  after: string | undefined;
}

/** `list` names the list with everything that makes it what it is, e.g. `versions/tour/hello`. */
export function pageRequest(list: string, query: { limit?: number | undefined; cursor?: string | undefined }): PageRequest {
  const limit = query.limit ?? LIMIT_DEFAULT;
  if (query.cursor === undefined) return { limit, after: undefined };
  try {
    const [of, after, ...rest] = JSON.parse(Buffer.from(query.cursor, 'base64url').toString('utf8')) as unknown[];
    if (of === list && typeof after === 'string' && after.length <= 400 && !after.includes('\0') && rest.length === 0)
      return { limit, after };
  } catch {
    // Not one of ours.
  }
  throw invalidRequest([
    { path: '?cursor', message: 'is not a cursor of this list; use `next` of the page before, unchanged', value: query.cursor },
  ]);
}

/** `fetched` has up to limit + 1 items. */
export function pageOf<T>(list: string, request: PageRequest, fetched: readonly T[], keyOf: (item: T) => string): Page<T> {
  const items = fetched.slice(0, request.limit);
  const last = items.at(-1);
  const more = fetched.length > request.limit && last !== undefined;
  return { items, next: more ? Buffer.from(JSON.stringify([list, keyOf(last)])).toString('base64url') : null };
}

/** A cursor's key where keys are whole numbers. */
export function numberKey(after: string | undefined): number | undefined {
  if (after === undefined) return undefined;
  const number = Number(after);
  if (!Number.isSafeInteger(number)) throw invalidRequest([{ path: '?cursor', message: 'is not a cursor of this list', value: after }]);
  return number;
}

/** A cursor's key where keys are sequences of the bus: decimal digits. */
export function sequenceKey(after: string | undefined): string | undefined {
  if (after === undefined || /^\d{1,19}$/.test(after)) return after;
  throw invalidRequest([{ path: '?cursor', message: 'is not a cursor of this list', value: after }]);
}

/** A page of what walk() found. */
export function pageOfWalk<T>(list: string, { items, next }: { items: T[]; next: string | undefined }): Page<T> {
  return { items, next: next === undefined ? null : Buffer.from(JSON.stringify([list, next])).toString('base64url') };
}
