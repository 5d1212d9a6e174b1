import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flag, FrameType } from '../../protocol/frames.ts';
import type { RequestMeta } from '../../protocol/frames.ts';
import { encodeMetaFrame } from '../../protocol/frames.ts';
import type { GuestScript } from '../../functions/testing.ts';
import type { RoutePolicy } from '../../protocol/policies/policy.ts';
import { setUp } from '../gateway-under-test.ts';
import { RewriteFeature } from './rewrite.ts';

/** Answers with what it saw of the request, and with headers of its own. */
const MIRROR: GuestScript = {
  onRequest: (guest, stream, meta) => {
    const { url, headers } = meta as Extract<RequestMeta, { kind: 'http' }>;
    const body = Buffer.from(JSON.stringify({ url: url.slice('http://p.localhost'.length), headers }));
    const own: string[] = ['X-Powered-By', 'me', 'x-own', '1', 'X-Own', '2'];
    guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: own }, body, { flags: Flag.END, stream, arg: 1 }));
  },
};

async function mirror(path: string, policy: RoutePolicy) {
  return await setUp(MIRROR, {
    routes: [{ path, methods: null, function: 'f', policy }],
    features: [new RewriteFeature()],
  });
}

test('the function sees the path, query and headers of the rule', async () => {
  await using up = await mirror('/api/{v}/{rest+}', {
    rewrite: {
      path: '/{v}2/{rest}',
      setQuery: { 'a b': 'x&y' },
      removeQuery: ['debug'],
      setHeaders: { 'X-Edge': 'virga' },
      removeHeaders: ['Cookie', 'x-secret'],
    },
  });
  const { body } = await up.get('/api/v/c%20d/%C3%BC?debug=1&b=%7E&a+b=0&debug&&c', {
    headers: { cookie: 'a=1', 'X-Secret': '1', 'x-edge': 'forged' },
  });
  const { url, headers } = JSON.parse(body.toString()) as { url: string; headers: string[] };
  assert.equal(url, '/v2/c%20d/%C3%BC?b=%7E&c&a%20b=x%26y');
  assert.deepEqual(headers.slice(headers.indexOf('x-edge'), headers.indexOf('x-edge') + 2), ['x-edge', 'virga']);
  assert.ok(!headers.includes('cookie') && !headers.includes('x-secret') && !headers.includes('forged'));
});

test('the query stays as it is where no rule speaks of it', async () => {
  await using up = await mirror('/old', { rewrite: { path: '/new' } });
  const seen = async (path: string) => (JSON.parse((await up.get(path)).body.toString()) as { url: string }).url;
  assert.equal(await seen('/old?a=%20&b'), '/new?a=%20&b');
  assert.equal(await seen('/old'), '/new');
});

test('a parameter does not climb out of the path that it is put into', async () => {
  await using up = await mirror('/api/{rest+}', { rewrite: { path: '/public/{rest}' } });
  for (const path of ['/api/../admin', '/api/a/%2e%2e/b', '/api/..%2fadmin', '/api/./x', '/api/x/..']) {
    assert.equal((await up.get(path)).status, 400, path);
  }
  assert.equal((await up.get('/api/a..b/...')).status, 200);
});

test('the client sees the headers of the rule, on errors too', async () => {
  await using up = await mirror('/x', {
    response: { setHeaders: { 'x-own': 'virga', 'x-frame-options': 'DENY' }, removeHeaders: ['x-powered-by'] },
  });
  const { headers } = await up.get('/x');
  assert.deepEqual([headers['x-own'], headers['x-frame-options'], headers['x-powered-by']], ['virga', 'DENY', undefined]);
});
