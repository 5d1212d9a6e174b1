import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../protocol/settings.ts';
import { setUp } from '../gateway-under-test.ts';

const NOBODY = { onRequest: () => assert.fail('nobody is called') };
const route = (path: string, to: string, status?: 308): Route => ({
  path,
  methods: null,
  redirect: { to, ...(status === undefined ? {} : { status }) },
});

test('a redirect carries parameters and query along, and calls nobody', async () => {
  const routes = [
    route('/old/{id}', '/new/{id}', 308),
    route('/wide/{rest+}', 'https://shop.example.com/{rest}?from=old#top'),
    route('/plain', '/'),
  ];
  await using up = await setUp(NOBODY, { routes });
  const location = async (path: string) => {
    const { status, headers, body } = await up.get(path);
    return `${status} ${headers.location} ${body.length}`;
  };
  assert.equal(await location('/old/a%20b?x=1&y=%20'), '308 /new/a%20b?x=1&y=%20 0');
  assert.equal(await location('/@p/old/7'), '308 /@p/new/7 0');
  assert.equal(
    await location('/wide/a/b%20%3ASet-Cookie:x?q=1'),
    '302 https://shop.example.com/a/b%20%3ASet-Cookie%3Ax?from=old&q=1#top 0',
  );
  assert.equal(await location('/plain?'), '302 / 0');
  assert.equal((await up.get('/plain', { method: 'POST', body: 'x'.repeat(1_000_000) })).status, 302);
  assert.equal(up.recorder.records.length, 0);
});

test('whatever a parameter holds, the destination stays on its host', async () => {
  await using up = await setUp(NOBODY, { routes: [route('/to/{rest+}', '/{rest}')] });
  for (const path of [
    '/to//evil.example',
    '/to///evil.example/x',
    '/to/%2f%2fevil.example',
    '/to/%5c%5cevil.example',
    '/to/a%0d%0aLocation:%20https://evil.example',
    '/to/https://evil.example',
    '/to/a%2f%2fevil.example',
    '/to/a%5c%5cevil.example',
  ]) {
    const { status, headers } = await up.get(path);
    // Refused before anybody is asked where to.
    if (status === 400 || status === 404) continue;
    const origin = new URL(headers.location!, 'http://p.localhost/').origin;
    assert.equal(origin, 'http://p.localhost', `${path} → ${headers.location}`);
  }
});
