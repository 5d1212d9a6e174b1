// The rules of RFC 9111 as a table: what a function answers, under which rules, and what a shared cache may do with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCacheControl } from './cache-control.ts';
import { judge } from './judgement.ts';
import type { LifetimeRules } from './judgement.ts';

const NOW = Date.UTC(2026, 0, 1, 12, 0, 0);
const NO_RULES: LifetimeRules = {
  ttlMs: undefined,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  respectOrigin: true,
  public: false,
  dropSetCookie: false,
};
const TTL = { ttlMs: 60_000 };
const utc = (seconds: number) => new Date(NOW + seconds * 1_000).toUTCString();

interface Case {
  name: string;
  rules?: Partial<LifetimeRules>;
  status?: number;
  headers?: string[];
  authorized?: boolean;
  /** Seconds from now that it is good; a text: why it is not kept. */
  good: number | string;
  /** Seconds from now, until which it may be given old. */
  whileRevalidating?: number;
  ifError?: number;
}

const CASES: Case[] = [
  { name: 'nothing said', good: 'nothing says how long' },
  { name: 'the rule of the route', rules: TTL, good: 60 },
  { name: 'max-age', headers: ['cache-control', 'max-age=10'], good: 10 },
  { name: 'max-age before the rule', rules: TTL, headers: ['cache-control', 'max-age=10'], good: 10 },
  {
    name: 'the rule before max-age, where told',
    rules: { ...TTL, respectOrigin: false },
    headers: ['cache-control', 'max-age=10'],
    good: 60,
  },
  { name: 's-maxage before max-age', headers: ['Cache-Control', 's-maxage=20, max-age=10'], good: 20 },
  { name: 'max-age before Expires', headers: ['cache-control', 'max-age=10', 'expires', utc(30)], good: 10 },
  { name: 'Expires', headers: ['expires', utc(30)], good: 30 },
  { name: 'Expires against the Date of the answer', headers: ['expires', utc(30), 'date', utc(10)], good: 20 },
  { name: 'Expires that is no date', rules: TTL, headers: ['expires', '0'], good: 'it is old already' },
  { name: 'two lines of Cache-Control', headers: ['cache-control', 'public', 'cache-control', 'max-age=5'], good: 5 },
  { name: 'the shorter of two', headers: ['cache-control', 'max-age=50, max-age=5'], good: 5 },
  { name: 'a quoted number', headers: ['cache-control', 'max-age="7"'], good: 7 },
  { name: 'what is no number is none', headers: ['cache-control', 'max-age=ten'], good: 'it is old already' },
  { name: 'a negative number', headers: ['cache-control', 'max-age=-1'], good: 'it is old already' },
  { name: 'a number beyond reason', headers: ['cache-control', 'max-age=99999999999999999999'], good: 2_147_483_648 },
  { name: 'Age counts', headers: ['cache-control', 'max-age=60', 'age', '25'], good: 35 },
  { name: 'Date counts as age', headers: ['cache-control', 'max-age=60', 'date', utc(-20)], good: 40 },
  { name: 'the greater of both', headers: ['cache-control', 'max-age=60', 'date', utc(-20), 'age', '5'], good: 40 },
  { name: 'a Date ahead is none', headers: ['cache-control', 'max-age=60', 'date', utc(500)], good: 60 },
  { name: 'older than its time', headers: ['cache-control', 'max-age=60', 'age', '60'], good: 'it is old already' },
  { name: 'older than its time, but it can be validated', headers: ['cache-control', 'max-age=60', 'age', '60', 'etag', '"x"'], good: 0 },

  { name: 'no-store', rules: TTL, headers: ['cache-control', 'no-store'], good: 'no-store' },
  { name: 'no-store in capitals, behind a quoted comma', rules: TTL, headers: ['cache-control', 'x="a, b",NO-STORE'], good: 'no-store' },
  { name: 'a word in quotes is not said', rules: TTL, headers: ['cache-control', 'x="no-store"'], good: 60 },
  { name: 'no-store whatever the rule', rules: { ...TTL, respectOrigin: false }, headers: ['cache-control', 'no-store'], good: 'no-store' },
  { name: 'private', rules: TTL, headers: ['cache-control', 'private, max-age=60'], good: 'private' },
  { name: 'private fields', rules: TTL, headers: ['cache-control', 'private="x-user", max-age=60'], good: 'private' },
  { name: 'no-cache without a validator', rules: TTL, headers: ['cache-control', 'no-cache'], good: 'it is old already' },
  { name: 'no-cache with one', rules: TTL, headers: ['cache-control', 'no-cache', 'last-modified', utc(-100)], good: 0 },
  { name: 'no-cache before max-age', headers: ['cache-control', 'no-cache, max-age=60', 'etag', '"x"'], good: 0 },

  { name: 'a cookie', rules: TTL, headers: ['set-cookie', 'a=b'], good: 'it sets a cookie' },
  {
    name: 'a cookie that is said to be public',
    headers: ['set-cookie', 'a=b', 'cache-control', 'public, max-age=9'],
    good: 'it sets a cookie',
  },
  { name: 'a cookie that is dropped', rules: { ...TTL, dropSetCookie: true }, headers: ['set-cookie', 'a=b'], good: 60 },
  { name: 'events', rules: TTL, headers: ['content-type', 'text/event-stream; charset=utf-8'], good: 'a stream of events' },
  { name: 'Vary: *', rules: TTL, headers: ['vary', 'accept, *'], good: 'vary' },
  { name: 'too much in Vary', rules: TTL, headers: ['vary', 'a,b,c,d,e,f,g,h,i,j,k'], good: 'vary' },

  { name: 'Authorization', rules: TTL, authorized: true, good: 'authorization' },
  { name: 'Authorization and max-age', headers: ['cache-control', 'max-age=60'], authorized: true, good: 'authorization' },
  { name: 'Authorization and public', headers: ['cache-control', 'public, max-age=60'], authorized: true, good: 60 },
  { name: 'Authorization and s-maxage', headers: ['cache-control', 's-maxage=60'], authorized: true, good: 60 },
  { name: 'Authorization and must-revalidate', headers: ['cache-control', 'max-age=60, must-revalidate'], authorized: true, good: 60 },
  { name: 'Authorization on a route for everybody', rules: { ...TTL, public: true }, authorized: true, good: 60 },

  ...[200, 203, 204, 300, 301, 308].map((status) => ({ name: `${status} by the rule`, rules: TTL, status, good: 60 })),
  ...[404, 405, 410, 414, 501].flatMap((status): Case[] => [
    { name: `${status} by the rule`, rules: TTL, status, good: 'nothing says how long' },
    { name: `${status} by its own word`, rules: TTL, status, headers: ['cache-control', 'max-age=5'], good: 5 },
  ]),
  ...[201, 206, 302, 304, 307, 400, 401, 403, 429, 500, 502, 503, 504].map((status) => ({
    name: `${status} never`,
    rules: TTL,
    status,
    headers: ['cache-control', 'public, max-age=60'],
    good: `status ${status}`,
  })),

  {
    name: 'stale times of the rule',
    rules: { ...TTL, staleWhileRevalidateMs: 5_000, staleIfErrorMs: 9_000 },
    good: 60,
    whileRevalidating: 65,
    ifError: 69,
  },
  {
    name: 'stale times of the answer before those of the rule',
    rules: { staleWhileRevalidateMs: 5_000, staleIfErrorMs: 9_000 },
    headers: ['cache-control', 'max-age=60, stale-while-revalidate=1, stale-if-error=2'],
    good: 60,
    whileRevalidating: 61,
    ifError: 62,
  },
  ...['must-revalidate', 'proxy-revalidate', 's-maxage=60', 'no-cache'].map((word) => ({
    name: `${word} is never given old`,
    rules: { staleWhileRevalidateMs: 5_000, staleIfErrorMs: 9_000 },
    headers: ['cache-control', `max-age=60, stale-if-error=100, ${word}`, 'etag', '"x"'],
    good: word === 'no-cache' ? 0 : 60,
    whileRevalidating: word === 'no-cache' ? 0 : 60,
    ifError: word === 'no-cache' ? 0 : 60,
  })),
  {
    name: 'must-revalidate where the route knows better',
    rules: { ...TTL, respectOrigin: false, staleIfErrorMs: 9_000 },
    headers: ['cache-control', 'must-revalidate, max-age=0'],
    good: 60,
    ifError: 69,
  },
];

for (const { name, rules, status = 200, headers = [], authorized = false, good, whileRevalidating, ifError } of CASES) {
  test(`${name}: ${typeof good === 'string' ? `not kept, ${good}` : `good for ${good} s`}`, () => {
    const judged = judge({ ...NO_RULES, ...rules }, { status, headers }, { authorized, askedAtMs: NOW, nowMs: NOW });
    if (!judged.keep) {
      assert.equal(judged.why, good);
      return;
    }
    assert.equal((judged.freshUntilMs - NOW) / 1_000, good);
    if (whileRevalidating !== undefined) assert.equal((judged.staleWhileUntilMs - NOW) / 1_000, whileRevalidating);
    if (ifError !== undefined) assert.equal((judged.staleErrorUntilMs - NOW) / 1_000, ifError);
  });
}

test('the time that an answer took to come counts where it came from further away', () => {
  const headers = ['cache-control', 'max-age=60', 'age', '5'];
  const judged = judge(NO_RULES, { status: 200, headers }, { authorized: false, askedAtMs: NOW - 2_000, nowMs: NOW });
  assert.ok(judged.keep);
  assert.equal(judged.freshUntilMs - NOW, 53_000);
});

test('request directives are read as well', () => {
  const { noCache, maxAge, minFresh, onlyIfCached } = parseCacheControl('No-Cache, max-age=0, min-fresh=3, only-if-cached');
  assert.deepEqual([noCache, maxAge, minFresh, onlyIfCached], [true, 0, 3, true]);
});
