// Conditional requests (RFC 9110, section 13): whether what the client has is what it would get. Pure.
// Used for what the gateway answers itself: kept answers (cache/) and files (static/).

export interface Validators {
  etag: string | undefined;
  /** As an HTTP date. */
  lastModified: string | undefined;
}

/** What a request says of what it has. */
export interface Conditions {
  ifNoneMatch: string | undefined;
  ifModifiedSince: string | undefined;
}

/**
 * Whether a GET or HEAD of this is answered 304. If-None-Match alone counts where it is given (section 13.2.2). Of dates only the very
 * same one does: after a rollback what is served is older than what a client has, and yet another thing.
 */
export function notModified({ ifNoneMatch, ifModifiedSince }: Conditions, { etag, lastModified }: Validators): boolean {
  if (ifNoneMatch !== undefined) return ifNoneMatch.trim() === '*' || (etag !== undefined && listed(ifNoneMatch, etag));
  if (ifModifiedSince === undefined || lastModified === undefined) return false;
  const since = Date.parse(ifModifiedSince);
  const modified = Date.parse(lastModified);
  return !Number.isNaN(since) && modified === since;
}

/** Whether If-Match, or else If-Unmodified-Since, keeps the request from being done (412). */
export function preconditionFails(
  { ifMatch, ifUnmodifiedSince }: { ifMatch: string | undefined; ifUnmodifiedSince: string | undefined },
  { etag, lastModified }: Validators,
): boolean {
  if (ifMatch !== undefined) {
    // The strong comparison.
    const strong = [...ifMatch.matchAll(/(W\/)?("[^"]*")/g)].filter(([, weak]) => weak === undefined);
    return ifMatch.trim() !== '*' && !strong.some(([, , tag]) => tag === etag);
  }
  if (ifUnmodifiedSince === undefined || lastModified === undefined) return false;
  const since = Date.parse(ifUnmodifiedSince);
  return !Number.isNaN(since) && Date.parse(lastModified) > since;
}

/** If-Range: whether a range of this may be sent; it takes strong validators only (section 13.1.5). */
export function rangeHolds(ifRange: string | undefined, { etag, lastModified }: Validators): boolean {
  if (ifRange === undefined) return true;
  const text = ifRange.trim();
  if (text.startsWith('"')) return text === etag;
  return !text.startsWith('W/') && lastModified !== undefined && text === lastModified;
}

/** The weak comparison (section 8.8.3.2). */
function listed(list: string, etag: string): boolean {
  const wanted = opaque(etag);
  for (const [one] of list.matchAll(/(?:W\/)?"[^"]*"/g)) if (opaque(one) === wanted) return true;
  return false;
}

function opaque(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag;
}
