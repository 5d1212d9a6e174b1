// The cache as a stage, over real HTTP with a scripted function and a clock of the test: what is answered from it, who waits,
// what happens when clients leave or the function fails.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { testVersion } from '../../functions/testing.ts';
import type { Guest } from '../../functions/testing.ts';
import { Flag, FrameType, encodeFrame, encodeMetaFrame } from '../../protocol/frames.ts';
import type { FlatHeaders, HttpRequestMeta } from '../../protocol/frames.ts';
import type { CacheRules } from '../../protocol/policies/cache.ts';
import type { VersionSettings } from '../../protocol/settings.ts';
import type { HttpMethod } from '../../protocol/http-methods.ts';
import { CorsFeature } from '../cors/cors.ts';
import { setUp as setUpGateway } from '../gateway-under-test.ts';
import type { Stage } from '../stage.ts';
import { headerIn } from '../flat-headers.ts';
import { RewriteFeature } from '../rewrite/rewrite.ts';
import { CacheFeature } from './cache.ts';
import { CacheStore } from './store.ts';

interface Answer {
  status?: number;
  headers?: FlatHeaders;
  body?: string;
}
interface Asked {
  meta: HttpRequestMeta;
  reply: (answer: Answer) => void;
  guest: Guest;
  stream: number;
}

/** Without `answer` the test replies to `asked` itself. */
async function setUp(
  rules: CacheRules,
  answer?: (meta: HttpRequestMeta, count: number) => Answer,
  options: { methods?: HttpMethod[]; cacheBytesMax?: number; settings?: Partial<VersionSettings> } = {},
) {
  const { methods = ['GET'], cacheBytesMax = 1_000_000 } = options;
  const clock = { now: 1_000_000_000 };
  const store = new CacheStore({ cacheBytesMax, projectCacheBytesMax: cacheBytesMax });
  const feature = new CacheFeature(store, () => clock.now);
  const asked: Asked[] = [];
  const waiting: ((one: Asked) => void)[] = [];
  const edge = await setUpGateway(
    {
      onRequest: (guest, stream, given) => {
        const meta = given as HttpRequestMeta;
        const reply = ({ status = 200, headers = [], body = '' }: Answer): void =>
          guest.send(encodeMetaFrame(FrameType.RESPONSE, { status, headers }, Buffer.from(body), { flags: Flag.END, stream, arg: 0 }));
        const one = { meta, reply, guest, stream };
        asked.push(one);
        waiting.shift()?.(one);
        if (answer !== undefined) reply(answer(meta, asked.length));
      },
    },
    {
      features: [feature],
      routes: [{ path: '/{all+}', methods, function: 'f', policy: { cache: rules } }],
      settings: { concurrency: 50, ...options.settings },
    },
  );
  return {
    ...edge,
    clock,
    store,
    asked,
    /** The next request that the function gets. */
    next: () => new Promise<Asked>((resolve) => waiting.push(resolve)),
    stats: () => store.stats('p'),
    [Symbol.asyncDispose]: () => edge[Symbol.asyncDispose](),
  };
}

/** Resolves when so many more requests have come and the gateway has looked at each: its listener is the first. */
function arrived({ gateway }: { gateway: { server: Server } }, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  const listener = (): void => {
    if (--left > 0) return;
    gateway.server.off('request', listener);
    resolve();
  };
  gateway.server.on('request', listener);
  return promise;
}

const counting = (_meta: HttpRequestMeta, count: number): Answer => ({ body: `answer ${count}`, headers: ['content-type', 'text/plain'] });

test('an answer is given again while it is good, with its age and where it is from', async () => {
  await using edge = await setUp({ ttl: '10s' }, counting);
  const first = await edge.get('/a');
  assert.deepEqual(
    [first.body.toString(), first.headers['cache-status'], first.headers.age],
    ['answer 1', 'virga; fwd=uri-miss; stored', undefined],
  );
  edge.clock.now += 4_500;
  const again = await edge.get('/a');
  assert.deepEqual([again.body.toString(), again.headers['cache-status'], again.headers.age], ['answer 1', 'virga; hit; ttl=5', '4']);
  assert.deepEqual([again.headers['content-type'], again.headers['content-length']], ['text/plain', '8']);
  assert.equal(again.headers['x-virga-invocation'], undefined);
  edge.clock.now += 5_500;
  const later = await edge.get('/a');
  assert.deepEqual([later.body.toString(), later.headers['cache-status']], ['answer 2', 'virga; fwd=stale; stored']);
  assert.deepEqual([edge.asked.length, edge.stats().hits, edge.stats().misses, edge.stats().entries], [2, 1, 2, 1]);
});

test('host, path, query and its order make a difference', async () => {
  await using edge = await setUp({ ttl: '10s' }, counting);
  const bodies = new Set<string>();
  for (const path of ['/a', '/b', '/a?x=1', '/a?x=1&y=2', '/a?y=2&x=1', '/a?', '/a/']) bodies.add((await edge.get(path)).body.toString());
  bodies.add((await edge.get('/a', { headers: { host: 'p.localhost:8080' } })).body.toString());
  assert.equal(bodies.size, 8);
  assert.equal((await edge.get('/a', { headers: { host: 'P.LOCALHOST' } })).body.toString(), 'answer 1');
});

test('HEAD is answered from a kept GET; alone it passes and leaves nothing', async () => {
  await using edge = await setUp({ ttl: '10s' }, counting);
  const head = await edge.get('/a', { method: 'HEAD' });
  assert.deepEqual([head.headers['cache-status'], edge.stats().entries], ['virga; fwd=uri-miss', 0]);
  await edge.get('/a');
  const kept = await edge.get('/a', { method: 'HEAD' });
  assert.deepEqual([kept.body.length, kept.headers['content-length'], edge.asked.length], [0, '8', 2]);
  assert.match(String(kept.headers['cache-status']), /^virga; hit/);
});

test('conditional requests are answered 304 from what is kept, with a tag that the gateway made where there is none', async () => {
  await using edge = await setUp({ ttl: '10s' }, () => ({ body: 'same', headers: ['cache-control', 'max-age=60', 'x-own', '1'] }));
  const first = await edge.get('/a', { headers: { 'if-none-match': '"other"' } });
  const tag = String(first.headers.etag);
  assert.match(tag, /^"[\w-]{22}"$/);
  assert.equal(headerIn(edge.asked[0]!.meta.headers, 'if-none-match'), undefined);
  for (const condition of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
    const { status, headers, body } = await edge.get('/a', { headers: { 'if-none-match': condition } });
    assert.deepEqual(
      [status, body.length, headers.etag, headers['cache-control'], headers['x-own']],
      [304, 0, tag, 'max-age=60', undefined],
    );
  }
  assert.equal((await edge.get('/a', { headers: { 'if-none-match': '"x"' } })).status, 200);
  assert.equal(edge.asked.length, 1);
  // Also where it was not kept yet: the client has what the function now answers.
  const fresh = await edge.get('/b', { headers: { 'if-none-match': tag } });
  assert.deepEqual([fresh.status, edge.stats().entries], [304, 2]);
});

test('ranges are cut from what is kept, and pass where nothing is', async () => {
  await using edge = await setUp({ ttl: '10s' }, () => ({ body: '0123456789', headers: ['etag', '"v1"'] }));
  const passed = await edge.get('/a', { headers: { range: 'bytes=2-4' } });
  assert.deepEqual([passed.status, edge.stats().entries], [200, 0]);
  assert.equal(headerIn(edge.asked[0]!.meta.headers, 'range'), 'bytes=2-4');
  await edge.get('/a');
  const cases: [string, string | undefined, number, string | undefined, string][] = [
    ['bytes=2-4', undefined, 206, 'bytes 2-4/10', '234'],
    ['bytes=-3', undefined, 206, 'bytes 7-9/10', '789'],
    ['bytes=8-', undefined, 206, 'bytes 8-9/10', '89'],
    ['bytes=10-', undefined, 416, 'bytes */10', ''],
    ['bytes=0-1,4-5', undefined, 200, undefined, '0123456789'],
    ['bytes=4-2', undefined, 200, undefined, '0123456789'],
    ['bytes=2-4', '"v1"', 206, 'bytes 2-4/10', '234'],
    ['bytes=2-4', '"v2"', 200, undefined, '0123456789'],
    ['bytes=2-4', 'W/"v1"', 200, undefined, '0123456789'],
  ];
  for (const [range, ifRange, status, contentRange, body] of cases) {
    const got = await edge.get('/a', { headers: { range, ...(ifRange !== undefined && { 'if-range': ifRange }) } });
    assert.deepEqual([got.status, got.headers['content-range'], got.body.toString()], [status, contentRange, body], range);
  }
  assert.equal(edge.asked.length, 2);
});

test('what is old is validated with the function: a 304 begins its time anew, with new headers', async () => {
  const answers: Answer[] = [
    { body: 'the text', headers: ['etag', '"v1"', 'x-count', '1', 'date', new Date(1_000_000_000).toUTCString()] },
    { status: 304, headers: ['x-count', '2'] },
  ];
  await using edge = await setUp({ ttl: '10s' }, (_meta, count) => answers[count - 1]!);
  await edge.get('/a');
  edge.clock.now += 11_000;
  const validated = await edge.get('/a', { headers: { 'if-none-match': '"mine"' } });
  assert.equal(headerIn(edge.asked[1]!.meta.headers, 'if-none-match'), '"v1"');
  assert.deepEqual([validated.status, validated.body.toString(), validated.headers['x-count']], [200, 'the text', '2']);
  assert.equal(validated.headers['cache-status'], 'virga; fwd=stale; fwd-status=304; stored');
  edge.clock.now += 9_000;
  const kept = await edge.get('/a');
  assert.deepEqual([kept.headers['cache-status'], kept.headers['x-count'], edge.asked.length], ['virga; hit; ttl=1', '2', 2]);
});

test('answers vary by what Vary names', async () => {
  await using edge = await setUp({ ttl: '10s' }, (meta, count) => ({
    body: `${headerIn(meta.headers, 'accept-language')} ${count}`,
    headers: ['vary', 'Accept-Language, accept-encoding'],
  }));
  const ask = async (language: string, encoding: string) =>
    (await edge.get('/a', { headers: { 'accept-language': language, 'accept-encoding': encoding } })).body.toString();
  assert.equal(await ask('de', 'gzip, br'), 'de 1');
  assert.equal(await ask('en', 'gzip, br'), 'en 2');
  assert.equal(await ask('de', 'br,gzip'), 'de 1');
  assert.equal(await ask('en', 'gzip, br'), 'en 2');
  assert.equal(edge.stats().entries, 2);
});

test('what the gateway says of a request is not what the client claims', async () => {
  await using edge = await setUp({ ttl: '10s' }, (_meta, count) => ({
    body: `${count}`,
    headers: ['vary', 'x-forwarded-for, x-real-ip, x-host'],
  }));
  const ask = async (headers: Record<string, string>) => (await edge.get('/a', { headers })).body.toString();
  assert.equal(await ask({}), '1');
  assert.equal(await ask({ 'x-forwarded-for': '203.0.113.7', 'x-real-ip': '203.0.113.7', 'x-host': 'evil.example' }), '1');
});

test('while it is old but not too old it is given at once, and the function is asked behind it, once', async () => {
  await using edge = await setUp({ ttl: '10s', staleWhileRevalidate: '5s' });
  const first = edge.next();
  const asking = edge.get('/a');
  (await first).reply({ body: 'old' });
  await asking;
  edge.clock.now += 12_000;
  const behind = edge.next();
  const [one, two] = await Promise.all([edge.get('/a'), edge.get('/a')]);
  assert.deepEqual([one.body.toString(), two.body.toString(), one.headers['cache-status']], ['old', 'old', 'virga; hit; ttl=-2']);
  const { reply, meta } = await behind;
  assert.equal(edge.asked.length, 2);
  assert.notEqual(meta.id, edge.asked[0]!.meta.id);
  const stored = edge.stats().stored;
  reply({ body: 'new' });
  while (edge.stats().stored === stored) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await edge.get('/a')).body.toString(), 'new');
  assert.equal(edge.stats().stale, 2);
});

test('a function that fails, or cannot be called, is stood in for by what is kept', async () => {
  let failing = false;
  await using edge = await setUp({ ttl: '10s', staleIfError: '60s' }, () => (failing ? { status: 503, body: 'no' } : { body: 'kept' }));
  await edge.get('/a');
  failing = true;
  edge.clock.now += 11_000;
  const stale = await edge.get('/a');
  assert.deepEqual([stale.status, stale.body.toString(), stale.headers['cache-status']], [200, 'kept', 'virga; hit; fwd-status=503']);
  assert.equal((await edge.get('/b')).status, 503);
  edge.clock.now += 60_000;
  assert.equal((await edge.get('/a')).status, 503);
});

test('what is kept stands in where the function takes no more calls', async () => {
  await using edge = await setUp({ ttl: '10s', staleIfError: '60s' }, undefined, {
    settings: { concurrency: 1, queue: 0, instances: { min: 0, max: 1 } },
  });
  const first = edge.next();
  const asking = edge.get('/a');
  (await first).reply({ body: 'kept' });
  await asking;
  edge.clock.now += 11_000;
  const busy = edge.next();
  const blocked = edge.get('/busy');
  const { reply } = await busy;
  const stale = await edge.get('/a');
  assert.deepEqual(
    [stale.status, stale.body.toString(), stale.headers['cache-status']],
    [200, 'kept', 'virga; hit; detail=function_overloaded'],
  );
  assert.equal((await edge.get('/b')).status, 429);
  reply({});
  await blocked;
});

test('one call answers all who want the same at the same time', async () => {
  await using edge = await setUp({ ttl: '10s' });
  const first = edge.next();
  const here = arrived(edge, 3);
  const all = [edge.get('/a'), edge.get('/a'), edge.get('/a')];
  await here;
  const { reply } = await first;
  reply({ body: 'shared' });
  const answers = await Promise.all(all);
  assert.deepEqual(
    answers.map(({ body }) => body.toString()),
    ['shared', 'shared', 'shared'],
  );
  assert.deepEqual([edge.asked.length, edge.stats().coalesced, edge.stats().misses, edge.stats().hits], [1, 2, 1, 2]);
  assert.equal(answers.filter(({ headers }) => /collapsed/.test(String(headers['cache-status']))).length, 2);
});

test('the first client may leave: the call goes on for those who wait, and is given up when nobody does', async () => {
  await using edge = await setUp({ ttl: '10s' });
  const leave = async (path: string) => {
    const asked = edge.next();
    const accepted = once(edge.gateway.server, 'connection') as Promise<[Socket]>;
    const socket = connect(edge.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nhost: p.localhost\r\n\r\n`);
    const closed = once((await accepted)[0], 'close');
    return { socket, asked: await asked, closed };
  };
  const { socket, asked, closed } = await leave('/a');
  const here = arrived(edge, 1);
  const follower = edge.get('/a');
  await here;
  socket.destroy();
  await closed;
  asked.guest.send(
    encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, Buffer.from('to '), { flags: 0, stream: asked.stream, arg: 0 }),
  );
  asked.guest.send(encodeFrame(FrameType.BODY, { stream: asked.stream, flags: Flag.END, payload: Buffer.from('the end') }));
  assert.equal((await follower).body.toString(), 'to the end');
  assert.equal(asked.guest.seen.filter(({ type, stream }) => type === FrameType.CANCEL && stream === asked.stream).length, 0);

  const alone = await leave('/b');
  alone.socket.destroy();
  while (!alone.asked.guest.seen.some(({ type, stream }) => type === FrameType.CANCEL && stream === alone.asked.stream))
    await new Promise((resolve) => setImmediate(resolve));
  alone.asked.reply({ body: 'for nobody' });
  const next = edge.next();
  const after = edge.get('/b');
  (await next).reply({ body: 'anew' });
  assert.equal((await after).body.toString(), 'anew');
});

test('a large answer goes on without its first client, as fast as it may be kept', async () => {
  const body = Buffer.alloc(900_000, '0123456789');
  const sent = new Map<number, { at: number; credit: number }>();
  const more = (guest: Guest, stream: number): void => {
    const state = sent.get(stream);
    while (state !== undefined && state.credit > 0 && state.at < body.length) {
      const payload = body.subarray(state.at, state.at + Math.min(state.credit, 60_000));
      state.at += payload.length;
      state.credit -= payload.length;
      guest.send(encodeFrame(FrameType.BODY, { stream, payload, flags: state.at === body.length ? Flag.END : 0 }));
    }
  };
  const store = new CacheStore({ cacheBytesMax: 2_000_000, projectCacheBytesMax: 2_000_000 });
  const first = Promise.withResolvers<{ guest: Guest; stream: number }>();
  let calls = 0;
  await using edge = await setUpGateway(
    {
      onRequest: (guest, stream) => {
        calls++;
        first.resolve({ guest, stream });
      },
      onFrame: (guest, frame) => {
        if (frame.type !== FrameType.CREDIT) return;
        sent.get(frame.stream)!.credit += frame.arg;
        setImmediate(() => more(guest, frame.stream));
      },
    },
    {
      features: [new CacheFeature(store)],
      routes: [{ path: '/{all+}', methods: ['GET'], function: 'f', policy: { cache: { ttl: '10s' } } }],
    },
  );
  const accepted = once(edge.gateway.server, 'connection') as Promise<[Socket]>;
  const socket = connect(edge.port, '127.0.0.1');
  socket.write('GET /a HTTP/1.1\r\nhost: p.localhost\r\n\r\n');
  const [served] = await accepted;
  const { guest, stream } = await first.promise;
  const here = arrived(edge, 1);
  const follower = edge.get('/a');
  await here;
  guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, undefined, { flags: 0, stream, arg: 0 }));
  sent.set(stream, { at: 0, credit: 256 * 1024 });
  more(guest, stream);
  await once(socket, 'data');
  const gone = new Promise((resolve) => served.once('close', resolve));
  socket.destroy();
  await gone;
  assert.ok((await follower).body.equals(body));
  assert.equal(calls, 1);
  assert.equal(store.bytes, store.stats('p').bytes);
});

test('a broken answer is not kept, nor what it held of the budget: a header that HTTP cannot carry, another length than said', async () => {
  const script: ((guest: Guest, stream: number) => void)[] = [
    (guest, stream) => head(guest, stream, ['x-bad', 'a\r\nset-cookie: b=c'], 'whole', Flag.END),
    (guest, stream) => head(guest, stream, ['bad name', 'x'], 'whole', Flag.END),
    (guest, stream) => head(guest, stream, ['x-bad', 'a\nb'], 'half', 0),
    (guest, stream) => {
      head(guest, stream, ['content-length', '100'], 'half', 0);
      guest.send(encodeFrame(FrameType.BODY, { stream, flags: Flag.END, payload: Buffer.from('less') }));
    },
    (guest, stream) => {
      head(guest, stream, ['content-length', '5'], 'half', 0);
      guest.send(encodeFrame(FrameType.BODY, { stream, payload: Buffer.from('more') }));
    },
    (guest, stream) => {
      head(guest, stream, [], 'half', 0);
      guest.end({ code: 1 });
    },
  ];
  const head = (guest: Guest, stream: number, headers: FlatHeaders, body: string, flags: number) =>
    guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers }, Buffer.from(body), { flags, stream, arg: 0 }));
  for (const answer of script) {
    const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
    await using edge = await setUpGateway(
      { onRequest: (guest, stream) => answer(guest, stream) },
      {
        features: [new CacheFeature(store)],
        routes: [{ path: '/{all+}', methods: ['GET'], function: 'f', policy: { cache: { ttl: '10s' } } }],
      },
    );
    const status = await edge.get('/a').then(
      (answered) => answered.status,
      () => 'broken off',
    );
    assert.ok(status === 502 || status === 'broken off', String(status));
    assert.deepEqual([store.stats('p').entries, store.bytes], [0, 0], String(script.indexOf(answer)));
  }
});

test('what may not be kept is fetched by each for itself, unless they share', async () => {
  for (const coalesce of [undefined, true, false] as const) {
    await using edge = await setUp({ ttl: '10s', ...(coalesce !== undefined && { coalesce }) });
    const here = arrived(edge, 2);
    const first = edge.next();
    const second = edge.next();
    const all = [edge.get('/a'), edge.get('/a')];
    await here;
    (await first).reply({ body: 'first', headers: ['cache-control', 'no-store'] });
    if (coalesce !== true) (await second).reply({ body: 'second', headers: ['cache-control', 'no-store'] });
    const bodies = (await Promise.all(all)).map(({ body }) => body.toString());
    assert.deepEqual(bodies.toSorted(), coalesce === true ? ['first', 'first'] : ['first', 'second']);
    assert.deepEqual([edge.stats().entries, edge.store.bytes, edge.asked.length], [0, 0, coalesce === true ? 1 : 2]);
  }
});

test('nothing that is not in the key reaches the function: parameters, cookies, claimed hosts', async () => {
  await using edge = await setUp({ ttl: '10s', key: { query: ['page'], cookies: ['theme'], headers: ['X-Tenant'] } }, (meta, count) => ({
    body: JSON.stringify({ url: meta.url, cookie: headerIn(meta.headers, 'cookie'), count }),
  }));
  const ask = async (path: string, headers: Record<string, string>) =>
    JSON.parse((await edge.get(path, { headers })).body.toString()) as { url: string; cookie: string; count: number };
  const first = await ask('/a?utm=%3Cscript%3E&page=2', {
    cookie: 'session=secret; theme=dark',
    'x-forwarded-host': 'evil.example',
    'x-original-url': '/admin',
    'x-http-method-override': 'DELETE',
  });
  assert.deepEqual(first, { url: 'http://p.localhost/a?page=2', cookie: 'theme=dark', count: 1 });
  const names = edge.asked[0]!.meta.headers.filter((_, index) => index % 2 === 0);
  for (const name of ['x-forwarded-host', 'x-original-url', 'x-http-method-override']) assert.ok(!names.includes(name), name);
  assert.equal((await ask('/a?page=2&utm=other', { cookie: 'theme=dark; other=1' })).count, 1);
  assert.equal((await ask('/a?page=2', { cookie: 'theme=light' })).count, 2);
  assert.equal((await ask('/a?page=2', { cookie: 'theme=dark', 'x-tenant': 't' })).count, 3);
  assert.equal((await ask('/a?page=3', { cookie: 'theme=dark' })).count, 4);
});

test('each principal has answers of its own, unless they are for all; Authorization that nobody checked keeps them out', async () => {
  let tokens = 0;
  const asPrincipal: Stage = {
    onHead: (request) => {
      const id = request.header('x-user');
      if (id !== undefined)
        request.principal = {
          kind: 'jwt',
          id,
          scopes: [request.header('x-scope') ?? ''],
          claims: { iss: request.header('x-issuer'), tenant: { id: request.header('x-tenant') }, exp: ++tokens, jti: `t${tokens}` },
        };
      return undefined;
    },
  };
  for (const isPublic of [false, true]) {
    const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
    let count = 0;
    await using edge = await setUpGateway(
      { onRequest: (guest, stream) => guest.answer(stream, String(++count)) },
      {
        features: [{ compile: () => asPrincipal }, new CacheFeature(store)],
        routes: [{ path: '/{all+}', methods: ['GET'], function: 'f', policy: { cache: { ttl: '10s', public: isPublic } } }],
      },
    );
    const ask = async (headers: Record<string, string>) => (await edge.get('/a', { headers })).body.toString();
    const who = [
      { 'x-user': 'ada', authorization: 'Bearer 1' },
      { 'x-user': 'grace', authorization: 'Bearer 2' },
      { 'x-user': 'ada', 'x-scope': 'admin' },
      { 'x-user': 'ada', 'x-issuer': 'https://other.example' },
      { 'x-user': 'ada', 'x-tenant': 'acme' },
    ];
    const first = [];
    for (const headers of who) first.push(await ask(headers));
    assert.deepEqual(first, isPublic ? ['1', '1', '1', '1', '1'] : ['1', '2', '3', '4', '5']);
    for (const [index, headers] of who.entries()) assert.equal(await ask(headers), first[index]);
    const unchecked = { authorization: 'Bearer 3' };
    assert.deepEqual([await ask(unchecked), await ask(unchecked)], isPublic ? ['1', '1'] : ['6', '7']);
    assert.equal(await ask({}), isPublic ? '1' : '8');
    assert.deepEqual([await ask({}), await ask(unchecked)], isPublic ? ['1', '1'] : ['8', '9']);
  }
});

test('each version has answers of its own, where a stage chooses among them', async () => {
  const choosing: Stage = {
    onHead: (request) => {
      if (request.header('x-canary') !== undefined) request.version = testVersion({ concurrency: 10 }, 'f', 2);
      return undefined;
    },
  };
  const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
  let count = 0;
  await using edge = await setUpGateway(
    { onRequest: (guest, stream) => guest.answer(stream, String(++count)) },
    {
      features: [{ compile: () => choosing }, new CacheFeature(store)],
      routes: [{ path: '/{all+}', methods: ['GET'], function: 'f', policy: { cache: { ttl: '10s' } } }],
    },
  );
  const ask = async (headers: Record<string, string>) => (await edge.get('/a', { headers })).body.toString();
  assert.deepEqual([await ask({}), await ask({ 'x-canary': '1' }), await ask({}), await ask({ 'x-canary': '1' })], ['1', '2', '1', '2']);
  assert.deepEqual(
    edge.recorder.records.map(({ version }) => version),
    [1, 2],
  );
});

test('rules of CORS are those of who asks, not of who asked first', async () => {
  const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
  await using edge = await setUpGateway(
    { onRequest: (guest, stream) => guest.answer(stream, 'shared') },
    {
      features: [new CorsFeature(), new CacheFeature(store)],
      routes: [
        {
          path: '/{all+}',
          methods: ['GET'],
          function: 'f',
          policy: { cache: { ttl: '10s' }, cors: { origins: ['https://a.example', 'https://b.example'] } },
        },
      ],
    },
  );
  for (const origin of ['https://a.example', 'https://b.example', 'https://evil.example']) {
    const { headers, body } = await edge.get('/a', { headers: { origin } });
    assert.deepEqual(
      [headers['access-control-allow-origin'], headers.vary, body.toString()],
      [origin.includes('evil') ? undefined : origin, 'origin', 'shared'],
    );
  }
  assert.deepEqual([store.stats('p').hits, store.stats('p').entries], [2, 1]);
});

test('what a rule rewrites is told apart by what was asked: the function sees the parameters of the route too', async () => {
  const clock = { now: 0 };
  const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
  await using edge = await setUpGateway(
    {
      onRequest: (guest, stream, given) => {
        const { url, params } = given as HttpRequestMeta;
        guest.answer(stream, JSON.stringify({ url, id: params['id'] }));
      },
    },
    {
      features: [new RewriteFeature(), new CacheFeature(store, () => clock.now)],
      routes: [{ path: '/old/{id}', methods: ['GET'], function: 'f', policy: { rewrite: { path: '/new' }, cache: { ttl: '10s' } } }],
    },
  );
  const ask = async (path: string) => (await edge.get(path)).body.toString();
  assert.equal(await ask('/old/1'), '{"url":"http://p.localhost/new","id":"1"}');
  assert.equal(await ask('/old/2'), '{"url":"http://p.localhost/new","id":"2"}');
  assert.equal(await ask('/old/1'), '{"url":"http://p.localhost/new","id":"1"}');
  assert.deepEqual([store.stats('p').entries, store.stats('p').hits], [2, 1]);
  assert.equal(store.purge('p', { below: '/old/1' }).entries, 1);
});

test('what is kept goes with its route and its project, not with another deployment', () => {
  const store = new CacheStore({ cacheBytesMax: 100_000, projectCacheBytesMax: 100_000 });
  const feature = new CacheFeature(store);
  const compile = (path: string, ttl: string, number = 1) => {
    const route = { path, methods: null, function: 'f', policy: { cache: { ttl } } };
    const version = testVersion({}, 'f', number);
    return feature.compile({ project: 'p', route, policy: route.policy, gateway: {}, version, routes: [route] });
  };
  const [p, none] = [new Set(['p']), new Set<string>()];
  const [a, b] = [compile('/a', '1s'), compile('/b', '1s')];
  feature.compiled({ all: p, anew: p });
  assert.equal(compile('/a', '1s'), a);
  feature.compiled({ all: p, anew: none });
  assert.equal(compile('/b', '1s'), b, 'another project was deployed');
  assert.notEqual(compile('/b', '2s'), b);
  assert.notEqual(compile('/a', '1s', 2), a);
  feature.compiled({ all: p, anew: p });
  const again = compile('/a', '1s', 2);
  feature.compiled({ all: p, anew: p });
  assert.equal(compile('/a', '1s', 2), again);
  assert.notEqual(compile('/b', '2s'), b);
  feature.compiled({ all: none, anew: none });
  assert.notEqual(compile('/a', '1s', 2), again);
});

test('a body, another protocol and preconditions keep the cache out', async () => {
  await using edge = await setUp({ ttl: '10s' }, counting);
  await edge.get('/a');
  const body = await edge.get('/a', { body: 'x=evil', headers: { 'content-length': '6' } });
  assert.deepEqual([body.body.toString(), body.headers['cache-status']], ['answer 2', 'virga; fwd=bypass']);
  const precondition = await edge.get('/a', { headers: { 'if-match': '"x"' } });
  assert.equal(precondition.body.toString(), 'answer 3');
  assert.equal(edge.stats().bypassed, 2);
  assert.equal((await edge.get('/a')).body.toString(), 'answer 1');
});

test('a request that changes something takes what was kept of its path along', async () => {
  await using edge = await setUp({ ttl: '10s' }, (meta, count) => ({ status: meta.method === 'DELETE' ? 409 : 200, body: `${count}` }), {
    methods: ['GET', 'PUT', 'DELETE'],
  });
  await edge.get('/a?x=1');
  await edge.get('/b');
  await edge.get('/a', { method: 'DELETE' });
  assert.equal((await edge.get('/a?x=1')).body.toString(), '1');
  await edge.get('/a', { method: 'PUT' });
  assert.equal((await edge.get('/a?x=1')).body.toString(), '5');
  assert.equal((await edge.get('/b')).body.toString(), '2');
});

test('purges go by tag, by path and all; tags are hidden; what was on its way when one came is not kept', async () => {
  await using edge = await setUp({ ttl: '10s', tags: ['all'] }, (meta) => ({
    body: 'x',
    headers: meta.url.endsWith('/a/1') ? ['Cache-Tag', 'one, two'] : ['surrogate-key', 'two three'],
  }));
  const load = async () => {
    for (const path of ['/a/1', '/a/2', '/ab', '/%61/3']) {
      const { headers } = await edge.get(path);
      assert.deepEqual([headers['cache-tag'], headers['surrogate-key']], [undefined, undefined]);
    }
  };
  for (const [what, count] of [
    [{ tag: 'one' }, 1],
    [{ tag: 'two' }, 4],
    [{ tag: 'three' }, 3],
    [{ tag: 'all' }, 4],
    [{ below: '/a' }, 3],
    [{ below: '/a/' }, 3],
    [{ at: '/a/3' }, 1],
    [{ tag: 'none' }, 0],
    [{}, 4],
  ] as const) {
    await load();
    assert.equal(edge.store.purge('p', what).entries, count, JSON.stringify(what));
  }
  edge.store.purge('p', {});
  assert.deepEqual([edge.stats().entries, edge.stats().bytes, edge.store.bytes], [0, 0, 0]);
});

test('what a purge means is not kept either while it is on its way', async () => {
  for (const [what, kept] of [
    [{}, 0],
    [{ tag: 'mine' }, 0],
    [{ below: '/a' }, 0],
    [{ at: '/a/b' }, 0],
    [{ tag: 'other' }, 1],
    [{ below: '/a/b/c' }, 1],
    [{ at: '/a' }, 1],
  ] as const) {
    await using edge = await setUp({ ttl: '10s' });
    const first = edge.next();
    const asking = edge.get('/a/b');
    const { reply } = await first;
    edge.store.purge('p', what);
    reply({ body: 'old news', headers: ['cache-tag', 'mine'] });
    assert.equal((await asking).headers['cache-status'], `virga; fwd=uri-miss${kept === 1 ? '; stored' : ''}`, JSON.stringify(what));
    assert.equal(edge.stats().entries, kept);
  }
});

test('clients may ask for more only where the route lets them', async () => {
  for (const respectClient of [false, true]) {
    await using edge = await setUp({ ttl: '10s', respectClient }, counting);
    const ask = async (control: string, path = '/a') => {
      const { status, body } = await edge.get(path, { headers: { 'cache-control': control } });
      return `${status} ${status === 200 ? body.toString() : ''}`;
    };
    assert.equal(await ask('only-if-cached'), respectClient ? '504 ' : '200 answer 1');
    if (respectClient) await edge.get('/a');
    assert.equal(await ask('only-if-cached'), '200 answer 1');
    edge.clock.now += 5_000;
    assert.equal(await ask('max-age=5'), '200 answer 1');
    assert.equal(await ask('max-age=4'), respectClient ? '200 answer 2' : '200 answer 1');
    assert.equal(await ask('no-cache'), respectClient ? '200 answer 3' : '200 answer 1');
    assert.equal(await ask('no-store', '/b'), respectClient ? '200 answer 4' : '200 answer 2');
    assert.equal(edge.stats().entries, respectClient ? 1 : 2);
  }
});

test('bodies beyond maxBytes pass whole and are not kept, whether their length is said or not', async () => {
  const large = 'x'.repeat(3_000);
  await using edge = await setUp({ ttl: '10s', maxBytes: '2 KiB' }, (meta) => ({
    body: large,
    headers: meta.url.endsWith('/said') ? ['content-length', '3000'] : [],
  }));
  for (const path of ['/said', '/unsaid']) assert.equal((await edge.get(path)).body.toString(), large);
  assert.deepEqual([edge.stats().entries, edge.store.bytes], [0, 0]);
});
