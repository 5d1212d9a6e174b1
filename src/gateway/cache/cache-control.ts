// Cache-Control of requests and answers (RFC 9111, section 5.2; RFC 5861). Pure. Invariant: what cannot be read is taken in the
// way that keeps less: a lifetime that is no number is none, of two the shorter one counts.

export interface Directives {
  noStore: boolean;
  noCache: boolean;
  /** Also `private="field"`: a shared cache that keeps the rest would have to tell apart what few name. */
  private: boolean;
  public: boolean;
  /** must-revalidate, or proxy-revalidate. */
  mustRevalidate: boolean;
  onlyIfCached: boolean;
  /** Seconds. */
  maxAge: number | undefined;
  sMaxAge: number | undefined;
  minFresh: number | undefined;
  staleWhileRevalidate: number | undefined;
  staleIfError: number | undefined;
}

/** RFC 9111, section 1.2.2: larger ones are this. */
const SECONDS_MAX = 2_147_483_648;
const NONE: Directives = Object.freeze({
  noStore: false,
  noCache: false,
  private: false,
  public: false,
  mustRevalidate: false,
  onlyIfCached: false,
  maxAge: undefined,
  sMaxAge: undefined,
  minFresh: undefined,
  staleWhileRevalidate: undefined,
  staleIfError: undefined,
});
const SECONDS = {
  'max-age': 'maxAge',
  's-maxage': 'sMaxAge',
  'min-fresh': 'minFresh',
  'stale-while-revalidate': 'staleWhileRevalidate',
  'stale-if-error': 'staleIfError',
} as const;
const WORDS = {
  'no-store': 'noStore',
  'no-cache': 'noCache',
  private: 'private',
  public: 'public',
  'must-revalidate': 'mustRevalidate',
  'proxy-revalidate': 'mustRevalidate',
  'only-if-cached': 'onlyIfCached',
} as const;
/** A name, and perhaps a value, quoted or not; commas inside of quotes do not separate. */
const DIRECTIVE = /([^\s,;="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?/g;

/** `undefined`: there is no such header. */
export function parseCacheControl(value: string | undefined): Directives {
  if (value === undefined) return NONE;
  const found = { ...NONE };
  for (const [, name, quoted, plain] of value.matchAll(DIRECTIVE)) {
    const lower = name!.toLowerCase();
    if (Object.hasOwn(WORDS, lower)) found[WORDS[lower as keyof typeof WORDS]] = true;
    else if (Object.hasOwn(SECONDS, lower)) {
      const key = SECONDS[lower as keyof typeof SECONDS];
      found[key] = Math.min(found[key] ?? Infinity, seconds(quoted ?? plain));
    }
  }
  return found;
}

function seconds(text: string | undefined): number {
  return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), SECONDS_MAX) : 0;
}
