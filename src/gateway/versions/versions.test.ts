// Canaries and shadows over real HTTP, with guests that answer with the number of their version.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testVersion } from '../../functions/testing.ts';
import type { Guest, GuestScript } from '../../functions/testing.ts';
import { encodeMetaFrame, Flag, FrameType } from '../../protocol/frames.ts';
import type { InitPayload, RequestMeta } from '../../protocol/frames.ts';
import type { Sticky } from '../../protocol/policies/traffic.ts';
import { CacheFeature } from '../cache/cache.ts';
import { CacheStore } from '../cache/store.ts';
import { setUp } from '../gateway-under-test.ts';
import type { RouteVersions } from '../stage.ts';
import { CanaryFeature } from './canary.ts';
import { ShadowFeature } from './shadow.ts';

const CANARY = testVersion({ concurrency: 10 }, 'f', 2);

function numberOf(guest: Guest): number {
  const init = guest.seen.find(({ type }) => type === FrameType.INIT)!;
  return (JSON.parse(init.payload.toString()) as InitPayload).version;
}

const NUMBERS: GuestScript = { onRequest: (guest, stream) => guest.answer(stream, String(numberOf(guest))) };

async function canary(percent: number, sticky: Sticky, random?: () => number) {
  return await setUp(NUMBERS, {
    features: [new CanaryFeature(random === undefined ? {} : { random })],
    versions: (live): RouteVersions => ({ pinned: true, live, canary: { version: CANARY, percent, sticky }, shadow: undefined }),
  });
}

test('a visitor stays at the version that the first answer gave, and at the canary when its share rises', async () => {
  await using ten = await canary(10, 'cookie');
  await using half = await canary(50, 'cookie');
  const visitors: { cookie: string; first: string }[] = [];
  for (let i = 0; i < 200; i++) {
    const { headers, body } = await ten.get('/x');
    const [cookie = ''] = headers['set-cookie'] ?? [];
    assert.match(cookie, /^virga-visitor=[\w-]{22}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/);
    assert.equal(headers['x-virga-version'], body.toString());
    visitors.push({ cookie: cookie.split(';')[0]!, first: body.toString() });
  }
  const share = visitors.filter(({ first }) => first === '2').length;
  // 20 expected: outside of this once in a billion runs.
  assert.ok(share >= 1 && share <= 55, String(share));
  let risen = 0;
  for (const { cookie, first } of visitors) {
    const again = await ten.get('/x', { headers: { cookie: `a=1; ${cookie}` } });
    assert.deepEqual([again.body.toString(), again.headers['set-cookie']], [first, undefined]);
    const later = (await half.get('/x', { headers: { cookie } })).body.toString();
    if (first === '2') assert.equal(later, '2');
    if (later === '2') risen++;
  }
  assert.ok(risen > share && risen < 160, `${share} → ${risen}`);
});

test('none, all, or by the toss of each request', async () => {
  await using none = await canary(0, 'ip');
  await using all = await canary(100, 'principal');
  let toss = 0.099;
  await using random = await canary(10, 'none', () => toss);
  assert.equal((await none.get('/x')).body.toString(), '1');
  assert.equal((await all.get('/x')).body.toString(), '2');
  const first = await random.get('/x');
  assert.deepEqual([first.body.toString(), first.headers['set-cookie']], ['2', undefined]);
  toss = 0.1;
  assert.equal((await random.get('/x')).body.toString(), '1');
});

test('a forged cookie is no visitor, and a project behind a prefix has a cookie of its own', async () => {
  await using up = await canary(50, 'cookie');
  const forged = await up.get('/x', { headers: { cookie: 'virga-visitor=short' } });
  assert.equal(forged.headers['set-cookie']?.length, 1);
  const prefixed = await up.get('/@p/x');
  assert.match(prefixed.headers['set-cookie']![0]!, /; Path=\/@p;/);
});

test('what the cache keeps of one version is not given as that of the other', async () => {
  let toss = 0;
  const store = new CacheStore({ cacheBytesMax: 1_000_000, projectCacheBytesMax: 1_000_000 });
  await using up = await setUp(NUMBERS, {
    features: [new CanaryFeature({ random: () => toss }), new CacheFeature(store)],
    routes: [{ path: '/x', methods: ['GET'], function: 'f', policy: { cache: { ttl: '1m' } } }],
    versions: (live): RouteVersions => ({
      pinned: true,
      live,
      canary: { version: CANARY, percent: 50, sticky: 'none' },
      shadow: undefined,
    }),
  });
  for (const [next, version] of [
    [0, '2'],
    [0.9, '1'],
    [0.1, '2'],
    [0.5, '1'],
  ] as const) {
    toss = next;
    const { body, headers } = await up.get('/x');
    assert.deepEqual([body.toString(), headers['x-virga-version']], [version, version]);
  }
  assert.equal(up.recorder.records.length, 2);
});

/** Version 2 answers with a status, a header and a body that the path asks for. */
const SHADOWED: GuestScript = {
  onRequest: (guest, stream, meta, body) => {
    const { url, headers } = meta as Extract<RequestMeta, { kind: 'http' }>;
    const copy = numberOf(guest) === 2;
    assert.equal(headers.includes('x-virga-shadow'), copy);
    const what = copy ? new URL(url).pathname.slice(1) : 'same';
    const head = {
      status: what === 'status' ? 500 : 200,
      headers: ['content-type', what === 'header' ? 'text/html' : 'text/plain', 'date', what],
    };
    guest.send(
      encodeMetaFrame(FrameType.RESPONSE, head, what === 'body' ? Buffer.from('other') : body, { flags: Flag.END, stream, arg: 1 }),
    );
  },
};

async function shadowed(script: GuestScript, options: { percent?: number; shadowsMax?: number; waiting?: number } = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = (_level: string, message: string, fields?: Record<string, unknown>): void => void lines.push({ message, ...fields });
  const up = await setUp(script, {
    features: (engine) => [
      new ShadowFeature({
        engine: { invoke: (call) => engine.invoke(call), waiting: options.waiting ?? 0 },
        log,
        limits: { shadowsMax: options.shadowsMax ?? 10 },
      }),
    ],
    versions: (live): RouteVersions => ({
      pinned: false,
      live,
      canary: undefined,
      shadow: { version: CANARY, percent: options.percent ?? 100, headers: undefined },
    }),
  });
  const copies = () => up.recorder.records.filter(({ trigger }) => trigger === 'shadow');
  return Object.assign(up, {
    lines,
    copies,
    /** Resolves when so many copies have ended. */
    ended: async (count: number) => {
      while (copies().length < count) await sleep(5);
    },
  });
}

test('the answer of a copy is thrown away, and what differs is told with its record', async () => {
  await using up = await shadowed(SHADOWED);
  const asked = ['same', 'status', 'header', 'body'];
  for (const [index, what] of asked.entries()) {
    const { status, body } = await up.get(`/${what}`, { method: 'POST', body: 'text' });
    assert.deepEqual([status, body.toString()], [200, 'text']);
    await up.ended(index + 1);
  }
  assert.deepEqual(
    up.copies().map(({ version, error, request: line }) => `${version} ${line}: ${error ?? ''}`),
    [
      '2 POST /same: ',
      '2 POST /status: differs from version 1: status 200, 500',
      '2 POST /header: differs from version 1: header content-type',
      '2 POST /body: differs from version 1: body',
    ],
  );
  // At most one line a second, so the first alone.
  assert.equal(up.lines.length, 1);
  assert.equal(up.lines[0]!['message'], "version 2 of function 'f' answers otherwise than version 1: status 200, 500");
  assert.deepEqual([up.lines[0]!['compared'], up.lines[0]!['differing'], up.lines[0]!['dropped']], [2, 1, 0]);
});

test('no copy is made of a large body, while calls wait, or beyond the bound; places come back when clients leave', async () => {
  await using busy = await shadowed(SHADOWED, { waiting: 1 });
  await using none = await shadowed(SHADOWED, { percent: 0 });
  for (const up of [busy, none]) await up.get('/same');
  const held: Guest[] = [];
  const slow: GuestScript = {
    onRequest: (guest, stream, meta, body) => {
      if (numberOf(guest) === 1 && (meta as { url: string }).url.endsWith('/slow')) held.push(guest);
      else SHADOWED.onRequest(guest, stream, meta, body);
    },
  };
  await using up = await shadowed(slow, { shadowsMax: 1 });
  assert.equal((await up.get('/same', { method: 'POST', body: 'x'.repeat(200_000), headers: { 'content-length': '200000' } })).status, 200);
  const leaving = request({ port: up.port, path: '/slow', headers: { host: 'p.localhost' }, agent: false })
    .on('error', () => {})
    .end();
  while (held.length === 0) await sleep(5);
  // The one place is taken.
  await up.get('/same');
  const left = new Promise((resolve) => leaving.on('close', resolve));
  leaving.destroy();
  await left;
  // The gateway hears of it a moment later; from then on there is a place again.
  while (up.copies().length === 0) await up.get('/body');
  assert.equal(up.copies()[0]!.request, 'GET /body');
  assert.deepEqual([busy.copies().length, none.copies().length], [0, 0]);
});
