// Whether an answer may be kept, and for how long it is good: the rules of RFC 9111 for a shared cache, section by section.
// Pure; times are Unix ms. Called by fill.ts with every answer to a request that looked into the cache.
import type { FlatHeaders } from '../../protocol/frames.ts';
import { parseCacheControl } from './cache-control.ts';

/** What the rules of the route come to (rules.ts). */
export interface LifetimeRules {
  /** undefined: only what the function says. */
  ttlMs: number | undefined;
  staleWhileRevalidateMs: number;
  staleIfErrorMs: number;
  respectOrigin: boolean;
  public: boolean;
  dropSetCookie: boolean;
}

export interface Keep {
  keep: true;
  /** When it was, or would have been, made: its Age counts from here. */
  bornMs: number;
  freshUntilMs: number;
  /** Until then it may be given while a new one is fetched, or when none can be had. */
  staleWhileUntilMs: number;
  staleErrorUntilMs: number;
  /** Names in lower case, sorted. */
  vary: string[];
  etag: string | undefined;
  lastModified: string | undefined;
  /** As it stands in the header; undefined: there is none. */
  contentLength: number | undefined;
  /** May answer a request with Authorization (section 3.5). */
  forAuthorized: boolean;
}

export interface Pass {
  keep: false;
  /** For people who read the tests. */
  why: string;
  /** It may be given to others who wait for it, though not be kept. */
  shareable: boolean;
  vary: string[];
}

/** Statuses that may be kept at all: those that are cacheable by definition (RFC 9110, section 15.1), without the partial one. */
const KEPT = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
/** Those that the route's own `ttl` speaks of: an error that a function did not mean to last is not made to. */
const BY_RULE = new Set([200, 203, 204, 300, 301, 308]);
const VARY_MAX = 10;

export function judge(
  rules: LifetimeRules,
  answer: { status: number; headers: FlatHeaders },
  request: { authorized: boolean; askedAtMs: number; nowMs: number },
): Keep | Pass {
  let control: string | undefined;
  let expires: string | undefined;
  let date: string | undefined;
  let age: string | undefined;
  let vary: string | undefined;
  let etag: string | undefined;
  let lastModified: string | undefined;
  let contentLength: number | undefined;
  let setsCookie = false;
  let isEvents = false;
  const { status, headers } = answer;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const value = headers[i + 1]!;
    switch (headers[i]!.toLowerCase()) {
      case 'cache-control':
        control = control === undefined ? value : `${control}, ${value}`;
        break;
      case 'expires':
        expires ??= value;
        break;
      case 'date':
        date ??= value;
        break;
      case 'age':
        age ??= value;
        break;
      case 'vary':
        vary = vary === undefined ? value : `${vary}, ${value}`;
        break;
      case 'etag':
        etag ??= value;
        break;
      case 'last-modified':
        lastModified ??= value;
        break;
      case 'content-length':
        contentLength ??= Number(value);
        break;
      case 'set-cookie':
        setsCookie = true;
        break;
      case 'content-type':
        // It may never end, and is of one moment: nobody should wait for it.
        isEvents ||= value.toLowerCase().startsWith('text/event-stream');
        break;
    }
  }
  const said = parseCacheControl(control);
  const names = varyNames(vary);
  const pass = (why: string, shareable = true): Pass => ({ keep: false, why, shareable, vary: names ?? [] });
  if (said.private) return pass('private', false);
  if (setsCookie && !rules.dropSetCookie) return pass('it sets a cookie', false);
  if (names === undefined) return pass('vary', false);
  if (isEvents) return pass('a stream of events', false);
  if (said.noStore) return pass('no-store');
  if (!KEPT.has(status)) return pass(`status ${status}`);
  // Section 3.5. What the rule of the route says of everybody is said by who wrote the function.
  const forAuthorized = rules.public || said.public || said.mustRevalidate || said.sMaxAge !== undefined;
  if (request.authorized && !forAuthorized) return pass('authorization', false);

  const { nowMs } = request;
  const dateMs = date === undefined ? Number.NaN : Date.parse(date);
  // Section 4.2.3: what the answer says of its age, and what it took to come.
  const apparentMs = Number.isNaN(dateMs) ? 0 : Math.max(0, nowMs - dateMs);
  // The way from the function to here takes no time: what it took to make the answer is not counted where nothing else aged it.
  const saidMs = age !== undefined && /^\d{1,10}$/.test(age) ? Number(age) * 1_000 + (nowMs - request.askedAtMs) : 0;
  const bornMs = nowMs - Math.max(apparentMs, saidMs);

  // Section 4.2.1: s-maxage before max-age before Expires.
  let lifetimeMs: number | undefined;
  if (said.sMaxAge !== undefined) lifetimeMs = said.sMaxAge * 1_000;
  else if (said.maxAge !== undefined) lifetimeMs = said.maxAge * 1_000;
  else if (expires !== undefined) lifetimeMs = expiresMs(expires, Number.isNaN(dateMs) ? nowMs : dateMs);
  let validated = said.noCache || said.mustRevalidate || said.sMaxAge !== undefined;
  if (said.noCache) lifetimeMs = 0;
  const byRule = BY_RULE.has(status) ? rules.ttlMs : undefined;
  if (byRule !== undefined && (lifetimeMs === undefined || !rules.respectOrigin)) {
    lifetimeMs = byRule;
    if (!rules.respectOrigin) validated = false;
  }
  if (lifetimeMs === undefined) return pass('nothing says how long');

  const freshUntilMs = bornMs + lifetimeMs;
  // Section 4.2.4: what has to be validated is never given old.
  const whileMs = validated
    ? 0
    : said.staleWhileRevalidate === undefined
      ? rules.staleWhileRevalidateMs
      : said.staleWhileRevalidate * 1_000;
  const errorMs = validated ? 0 : said.staleIfError === undefined ? rules.staleIfErrorMs : said.staleIfError * 1_000;
  const useful = freshUntilMs + Math.max(whileMs, errorMs) > nowMs || etag !== undefined || lastModified !== undefined;
  if (!useful) return pass('it is old already');
  return {
    keep: true,
    bornMs,
    freshUntilMs,
    staleWhileUntilMs: freshUntilMs + whileMs,
    staleErrorUntilMs: freshUntilMs + errorMs,
    vary: names,
    etag,
    lastModified,
    contentLength,
    forAuthorized,
  };
}

/** undefined: no other request can be answered with it. */
function varyNames(value: string | undefined): string[] | undefined {
  if (value === undefined) return [];
  const names = new Set<string>();
  for (const part of value.split(',')) {
    const name = part.trim().toLowerCase();
    if (name === '*') return undefined;
    if (name !== '') names.add(name);
  }
  return names.size > VARY_MAX ? undefined : [...names].sort();
}

/** What is no date, such as 0, is past (section 5.3). */
function expiresMs(text: string, dateMs: number): number {
  const at = /[a-z]/i.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? 0 : Math.max(0, at - dateMs);
}
