// What a client gets of a kept answer: whole, a range of it, or 304 where it has it already; with its age and with where it is
// from (RFC 9211). Also what of a function's headers is kept. Pure.
import type { FlatHeaders } from '../../protocol/frames.ts';
import { byteRange } from '../byte-ranges.ts';
import { notModified, rangeHolds } from '../conditional.ts';
import type { Conditions } from '../conditional.ts';
import { headerIn } from '../flat-headers.ts';
import type { GatewayRequest, LocalAnswer } from '../stage.ts';
import type { CompiledRules } from './rules.ts';
import type { Entry } from './store.ts';

/** RFC 9110, section 15.4.5: what a 304 carries. */
const OF_304 = new Set(['cache-control', 'content-location', 'date', 'etag', 'expires', 'last-modified', 'vary']);
/** Of one exchange or connection, or the gateway's own to say. */
const NOT_KEPT = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'content-length',
  'age',
  'cache-status',
  'x-request-id',
  'set-cookie',
]);
const TAG_HEADERS = new Set(['cache-tag', 'surrogate-key']);
const TAGS_MAX = 50;
const TAG_CHARACTERS_MAX = 128;

export function conditionsOf(request: GatewayRequest): Conditions {
  const { headers } = request.incoming;
  return { ifNoneMatch: headers['if-none-match'], ifModifiedSince: headers['if-modified-since'] };
}

/** `status`: of the cache, e.g. `hit`. */
export function answerFrom(entry: Entry, request: GatewayRequest, { nowMs, status }: { nowMs: number; status: string }): LocalAnswer {
  entry.asked = true;
  const age = String(Math.max(0, Math.floor((nowMs - entry.bornMs) / 1_000)));
  const own = ['age', age, 'cache-status', `virga; ${status}`];
  if (entry.status === 200) {
    const conditions = conditionsOf(request);
    if ((conditions.ifNoneMatch ?? conditions.ifModifiedSince) !== undefined && notModified(conditions, entry))
      return { status: 304, headers: [...only304(entry.headers), ...own] };
    const asked = request.method === 'GET' ? request.incoming.headers.range : undefined;
    if (asked !== undefined) {
      const partial = rangeOf(entry, request, asked, own);
      if (partial !== undefined) return partial;
    }
  }
  return { status: entry.status, headers: [...entry.headers, ...own], body: entry.body };
}

function rangeOf(entry: Entry, request: GatewayRequest, asked: string, own: FlatHeaders): LocalAnswer | undefined {
  if (!rangeHolds(request.header('if-range'), entry)) return undefined;
  const { body } = entry;
  const range = byteRange(asked, body.length);
  if (range === undefined) return undefined;
  if (range === 'unsatisfiable') return { status: 416, headers: ['content-range', `bytes */${body.length}`, ...own] };
  const headers: FlatHeaders = [];
  for (let i = 0; i < entry.headers.length; i += 2)
    if (entry.headers[i]!.toLowerCase() !== 'content-length') headers.push(entry.headers[i]!, entry.headers[i + 1]!);
  headers.push('content-range', `bytes ${range.first}-${range.last}/${body.length}`, ...own);
  return { status: 206, headers, body: body.subarray(range.first, range.last + 1) };
}

export function only304(headers: FlatHeaders): FlatHeaders {
  const kept: FlatHeaders = [];
  for (let i = 0; i + 1 < headers.length; i += 2) if (OF_304.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!);
  return kept;
}

/** What clients may see of the function's headers: tags are between it and the gateway. The list itself where nothing is hidden. */
export function visibleHeaders(headers: FlatHeaders, rules: CompiledRules): FlatHeaders {
  const hidden = (name: string): boolean =>
    (rules.tags !== undefined && TAG_HEADERS.has(name)) || (rules.dropSetCookie && name === 'set-cookie');
  const seen: FlatHeaders = [];
  for (let i = 0; i + 1 < headers.length; i += 2) if (!hidden(headers[i]!.toLowerCase())) seen.push(headers[i]!, headers[i + 1]!);
  return seen.length === headers.length ? headers : seen;
}

/** What is kept of visible headers. */
export function keptHeaders(headers: FlatHeaders): FlatHeaders {
  const kept: FlatHeaders = [];
  for (let i = 0; i + 1 < headers.length; i += 2) if (!NOT_KEPT.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!);
  return kept;
}

/** Of a 304 about a kept answer: its headers replace those of the same names (RFC 9111, section 3.2). */
export function updatedHeaders(kept: FlatHeaders, news: FlatHeaders): FlatHeaders {
  const updates = keptHeaders(news);
  // A date of old would make it old.
  const names = new Set(['date']);
  for (let i = 0; i < updates.length; i += 2) {
    const name = updates[i]!.toLowerCase();
    if (!name.startsWith('content-')) names.add(name);
  }
  const merged: FlatHeaders = [];
  for (let i = 0; i < kept.length; i += 2) if (!names.has(kept[i]!.toLowerCase())) merged.push(kept[i]!, kept[i + 1]!);
  for (let i = 0; i < updates.length; i += 2) if (names.has(updates[i]!.toLowerCase())) merged.push(updates[i]!, updates[i + 1]!);
  return merged;
}

export function tagsOf(headers: FlatHeaders, own: readonly string[] | undefined): readonly string[] {
  if (own === undefined) return [];
  const byComma = headerIn(headers, 'cache-tag');
  const bySpace = headerIn(headers, 'surrogate-key');
  if (byComma === undefined && bySpace === undefined) return own;
  const named = [...(byComma ?? '').split(','), ...(bySpace ?? '').split(' ')]
    .map((one) => one.trim())
    .filter((one) => one !== '' && one.length <= TAG_CHARACTERS_MAX);
  return [...new Set([...own, ...named])].slice(0, TAGS_MAX);
}
