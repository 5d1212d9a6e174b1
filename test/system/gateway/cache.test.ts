// The cache of the gateway as clients see it: a deployed project, undici and curl, purges through the CLI, deploys that change
// the function or leave it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const curl = promisify(execFile);

const MANIFEST = `
project: shop
functions:
  list:
    source: list.mjs
    concurrency: 50
    http:
      - path: /list
        methods: [GET]
        cache: {ttl: 60s, key: {query: [page]}, tags: [lists], staleIfError: 5m}
      - path: /list
        methods: [POST]
      - path: /own/{rest+}
        methods: [GET]
        cache: {}
      - path: /slow
        methods: [GET]
        cache: {ttl: 60s, coalesce: true}
      - path: /plain
`;
const FUNCTION = `let count = 0;
export default {
  async fetch(request) {
    const url = new URL(request.url);
    count++;
    if (url.pathname === '/slow') await new Promise((resolve) => setTimeout(resolve, 300));
    const headers = new Headers({ 'x-count': String(count) });
    if (url.pathname.startsWith('/own/')) for (const [name, value] of url.searchParams) headers.append(name, value);
    return new Response(\`v1 \${request.method} \${url.search} \${request.headers.get('accept-language')}\`, { headers });
  },
};`;
const PROJECT = { 'virga.yaml': MANIFEST, 'list.mjs': FUNCTION };

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const ask = async (path: string, init?: RequestInit) => {
  const answer = await virga.fetch('shop', path, init);
  return { status: answer.status, headers: answer.headers, text: await answer.text(), cache: answer.headers.get('cache-status') };
};
const stats = async () => (await virga.cli(['cache', 'stats', '--project', 'shop', '--json'])).json<Record<string, number>>();

test('a kept answer comes without the function: no invocation, an age, a tag to ask with', async () => {
  const first = await ask('/list?page=1');
  assert.equal(first.cache, 'virga; fwd=uri-miss; stored');
  assert.ok(first.headers.get('x-virga-invocation'));
  const again = await ask('/list?page=1&utm_source=mail');
  assert.match(again.cache ?? '', /^virga; hit; ttl=\d+$/);
  assert.deepEqual([again.text, again.headers.get('x-count')], [first.text, first.headers.get('x-count')]);
  assert.equal(again.headers.get('x-virga-invocation'), null);
  assert.match(again.headers.get('age') ?? '', /^\d+$/);
  const unchanged = await ask('/list?page=1', { headers: { 'if-none-match': again.headers.get('etag')! } });
  assert.deepEqual([unchanged.status, unchanged.text], [304, '']);
  assert.notEqual((await ask('/list?page=2')).text, first.text);
});

test('curl: HEAD, a range and a condition are answered from what is kept', async () => {
  await ask('/list?page=curl');
  const url = `${virga.edgeUrl}/@shop/list?page=curl`;
  const whole = (await ask('/list?page=curl')).text;
  const head = (await curl('curl', ['-sS', '-I', url])).stdout;
  assert.match(head, /^HTTP\/1\.1 200/);
  assert.match(head, new RegExp(`content-length: ${whole.length}\\r`, 'i'));
  assert.equal((await curl('curl', ['-sS', '-r', '0-1', url])).stdout, whole.slice(0, 2));
  const etag = /etag: (.*)\r/i.exec(head)![1]!;
  assert.equal((await curl('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '-H', `if-none-match: ${etag}`, url])).stdout, '304');
});

test("the function's own words count: max-age, no-store, private, cookies, Vary", async () => {
  const again = async (query: string, headers?: Record<string, string>) => {
    await ask(`/own/x?${query}`, headers && { headers });
    return (await ask(`/own/x?${query}`, headers && { headers })).cache ?? '';
  };
  assert.match(await again('cache-control=max-age%3D60'), /^virga; hit/);
  for (const query of [
    'x-nothing=said',
    'cache-control=no-store%2C+max-age%3D60',
    'cache-control=private%2C+max-age%3D60',
    'cache-control=max-age%3D60&set-cookie=a%3Db',
    'cache-control=max-age%3D60&vary=*',
  ])
    assert.equal(await again(query), 'virga; fwd=uri-miss', query);
  const secret = { authorization: 'Bearer secret' };
  assert.equal(await again('cache-control=max-age%3D61', secret), 'virga; fwd=uri-miss');
  assert.match(await again('cache-control=public%2C+max-age%3D62', secret), /^virga; hit/);
  const vary = '/own/x?cache-control=max-age%3D60&vary=accept-language';
  const texts = [];
  for (const language of ['de', 'en', 'de']) texts.push((await ask(vary, { headers: { 'accept-language': language } })).text.slice(-2));
  assert.deepEqual(texts, ['de', 'en', 'de']);
});

test('many clients at once make one call', async () => {
  const earlier = (await stats())['coalesced']!;
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await ask('/slow')));
  assert.equal(new Set(answers.map(({ headers }) => headers.get('x-count'))).size, 1);
  // Those that came late were answered from what was kept by then.
  assert.ok((await stats())['coalesced']! > earlier);
});

test('a POST to the same path takes what is kept of it along', async () => {
  await ask('/list?page=post');
  assert.match((await ask('/list?page=post')).cache ?? '', /hit/);
  assert.equal((await ask('/list', { method: 'POST', body: 'x' })).cache, null);
  assert.match((await ask('/list?page=post')).cache ?? '', /stored/);
});

test('virga cache purge drops by tag, by path, or all, and says how much', async () => {
  const load = async () => {
    await ask('/list?page=purge');
    await ask('/own/a/b?cache-control=max-age%3D60&cache-tag=mine');
    await ask('/own/c?cache-control=max-age%3D60');
  };
  const purge = async (...args: string[]) =>
    (await virga.cli(['cache', 'purge', '--project', 'shop', '--json', ...args])).json<{ entries: number; bytes: number }>();
  await purge();
  await load();
  const tagged = await ask('/own/a/b?cache-control=max-age%3D60&cache-tag=mine');
  assert.match(tagged.cache ?? '', /hit/);
  assert.equal(tagged.headers.get('cache-tag'), null);
  assert.equal((await purge('--tag', 'lists')).entries, 1);
  assert.equal((await purge('--tag', 'mine')).entries, 1);
  assert.match((await ask('/own/c?cache-control=max-age%3D60')).cache ?? '', /hit/);
  await load();
  const purged = await purge('--path', '/own');
  assert.equal(purged.entries, 2);
  assert.ok(purged.bytes > 0);
  const left = await stats();
  assert.equal(left['entries'], 1);
  assert.equal((await purge()).entries, 1);
  assert.deepEqual([(await stats())['entries'], (await stats())['bytes']], [0, 0]);
  const text = await virga.cli(['cache', 'stats', '--project', 'shop']);
  assert.match(text.stdout, /entries +0/);
  assert.match((await virga.cli(['cache', 'purge', '--project', 'shop', '--tag', 'a', '--path', '/b'])).stderr, /give one of them/);
  assert.match((await virga.cli(['cache', 'purge', '--project', 'nobody'])).stderr, /nobody/);
});

test('a deploy keeps what is of an unchanged function and route, and drops what is not', async () => {
  await ask('/list?page=deploy');
  await ask('/own/deploy?cache-control=max-age%3D60');
  const other = await virga.deploy({ ...PROJECT, 'virga.yaml': MANIFEST.replace('tags: [lists]', 'tags: [other]') });
  assert.equal(other.code, 0, other.stderr);
  assert.match((await ask('/own/deploy?cache-control=max-age%3D60')).cache ?? '', /hit/);
  assert.match((await ask('/list?page=deploy')).cache ?? '', /stored/);
  const changed = await virga.deploy({ ...PROJECT, 'list.mjs': FUNCTION.replace('v1', 'v2') });
  assert.equal(changed.code, 0, changed.stderr);
  const fresh = await ask('/own/deploy?cache-control=max-age%3D60');
  assert.match(fresh.text, /^v2/);
  assert.match(fresh.cache ?? '', /stored/);
});

test('rules that make no sense are refused with their place', async () => {
  const wrong = async (cache: string) =>
    (
      await virga.deploy({
        ...PROJECT,
        'virga.yaml': `project: shop\nfunctions:\n  list:\n    source: list.mjs\n    http:\n      - path: /\n        cache: ${cache}\n`,
      })
    ).stderr;
  assert.match(await wrong('{ttl: 60}'), /virga\.yaml:7:\d+.*expected a duration with its unit/);
  assert.match(await wrong('{tll: 60s}'), /cache has no key 'tll'.*did you mean 'ttl'/);
  assert.match(await wrong('{maxBytes: 1 GiB}'), /expected a size from/);
  assert.match(await wrong('{key: {cookie: [a]}}'), /did you mean 'cookies'/);
  assert.match(await wrong('{tags: ["a b"]}'), /expected a tag: a word without spaces and commas/);
});
