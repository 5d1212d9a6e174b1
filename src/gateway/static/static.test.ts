// Files of a folder over real HTTP: what a path means, codings, conditions, ranges; and that nothing beside the files is in reach.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { StaticRules } from '../../protocol/policies/static.ts';
import type { Route } from '../../protocol/settings.ts';
import { setUp } from '../gateway-under-test.ts';
import { codingFor } from './accept-encoding.ts';
import { isImmutable } from './immutable.ts';
import { readIndex } from './file-index.ts';

const LARGE = Buffer.alloc(1_000_000, 'abcdefghij');
const FILES: Record<string, string | Buffer> = {
  'index.html': '<h1>home</h1>',
  'about.html': 'about',
  'docs/index.html': 'docs',
  '404.html': 'nothing here',
  'app.3f2a91bc.js': 'let x',
  'ünï code.txt': 'ünï',
  'a/b/c.svg': '<svg/>',
  'large.bin': LARGE,
  '.well-known/security.txt': 'contact',
};
const VARIANTS: Record<string, string> = { 'br/index.html': 'br of home', 'gzip/index.html': 'gzip of home!' };
/** What a folder that somebody made by hand could name. */
const HOSTILE = ['../secret', '.env', 'a/../../secret', '/etc/passwd', 'a\\b', 'x\0y', 'a//b', './index.html', ''];

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'virga-static-'));
  const write = async (name: string, content: string | Buffer) => {
    await mkdir(dirname(join(folder, 'made', name)), { recursive: true });
    await writeFile(join(folder, 'made', name), content);
  };
  await writeFile(join(folder, 'secret'), 'secret');
  for (const [name, content] of Object.entries(FILES)) await write(`files/${name}`, content);
  for (const [name, content] of Object.entries(VARIANTS)) await write(name, content);
  await write('files/.env', 'SECRET=1');
  await symlink('../../secret', join(folder, 'made', 'files', 'link'));
  const entry = (path: string, content: string | Buffer) => ({
    path,
    bytes: Buffer.byteLength(content),
    sha256: createHash('sha256').update(content).digest('hex'),
    ...(VARIANTS[`br/${path}`] !== undefined && { br: VARIANTS[`br/${path}`]!.length, gzip: VARIANTS[`gzip/${path}`]!.length }),
  });
  const files = [...Object.entries(FILES).map(([path, content]) => entry(path, content)), ...HOSTILE.map((path) => entry(path, 'secret'))];
  await write('index.json', JSON.stringify({ files }));
});
after(() => rm(folder, { recursive: true, force: true }));

const NOBODY = { onRequest: () => assert.fail('nobody is called') };
async function site(rules: Partial<StaticRules> = {}, path = '/{file+}', others: Route[] = []) {
  const routes: Route[] = [{ path, methods: null, static: { folder: 'public', ...rules } }, ...others];
  return await setUp(NOBODY, { routes, folders: { public: join(folder, 'made') }, filesBytesMax: 100_000 });
}

test('a path means a file, the index of a folder, or a folder that wants its slash', async () => {
  await using edge = await site();
  const ask = async (path: string) => {
    const { status, headers, body } = await edge.get(path);
    return [status, headers['content-type'] ?? headers.location, body.length < 100 ? body.toString() : body.length];
  };
  assert.deepEqual(await ask('/'), [200, 'text/html; charset=utf-8', '<h1>home</h1>']);
  assert.deepEqual(await ask('/index.html?x=1'), [200, 'text/html; charset=utf-8', '<h1>home</h1>']);
  assert.deepEqual(await ask('/docs/'), [200, 'text/html; charset=utf-8', 'docs']);
  assert.deepEqual(await ask('/docs'), [308, '/docs/', '']);
  assert.deepEqual(await ask('/docs?q=a%20b'), [308, '/docs/?q=a%20b', '']);
  assert.deepEqual(await ask('/@p/docs'), [308, '/@p/docs/', '']);
  assert.deepEqual(await ask('/a/b/c.svg'), [200, 'image/svg+xml', '<svg/>']);
  assert.deepEqual(await ask('/%C3%BCn%C3%AF%20code.txt'), [200, 'text/plain; charset=utf-8', 'ünï']);
  assert.deepEqual(await ask('/.well-known/security.txt'), [200, 'text/plain; charset=utf-8', 'contact']);
  assert.deepEqual(await ask('/large.bin'), [200, 'application/octet-stream', LARGE.length]);
  for (const path of ['/none', '/index.html/', '/about', '/a/b', '/a/', '/link']) assert.equal((await edge.get(path)).status, 404, path);
  const none = JSON.parse((await edge.get('/none')).body.toString()) as { error: { code: string } };
  assert.equal(none.error.code, 'file_not_found');
  const { headers } = await edge.get('/');
  assert.deepEqual(
    [headers['x-content-type-options'], headers['accept-ranges'], headers['cache-control']],
    ['nosniff', 'bytes', 'no-cache'],
  );
});

test('a folder below a path, with functions beside it that come first', async () => {
  await using edge = await site({}, '/site/{file+}', [{ path: '/site/api', methods: null, redirect: { to: '/elsewhere' } }]);
  assert.equal((await edge.get('/site/')).body.toString(), '<h1>home</h1>');
  assert.equal((await edge.get('/site')).headers.location, '/site/');
  assert.equal((await edge.get('/site/docs/')).body.toString(), 'docs');
  assert.equal((await edge.get('/site/api')).headers.location, '/elsewhere');
  assert.equal((await edge.get('/')).status, 404);
});

test('no path leads out of the folder, nor to what is hidden', async () => {
  await using edge = await site({ cleanUrls: true });
  const paths = [
    '/../secret',
    '/%2e%2e/secret',
    '/..%2fsecret',
    '/%2e%2e%2fsecret',
    '/%252e%252e%252fsecret',
    '/a/../../secret',
    '/a/b/../../../secret',
    '/..\\secret',
    '/..%5csecret',
    '/.env',
    '/%2eenv',
    '/files/index.html',
    '/../index.json',
    '/x%00y',
    '/index.html%00.txt',
    '//secret',
    '///etc/passwd',
    '/a%2fb%2f..%2f..%2fsecret',
    '/__proto__',
    '/constructor',
    '/%c0%ae%c0%ae/secret',
    '/link',
    `/${'a/'.repeat(500)}`,
  ];
  for (const path of paths) {
    const socket = connect(edge.port, '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nhost: p.localhost\r\nconnection: close\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 (404|400) /, path);
    assert.ok(!text.includes('SECRET') && !text.endsWith('secret'), path);
  }
});

test('whatever path is asked for: a file that is there, or none', async () => {
  await using edge = await site({ cleanUrls: true });
  const piece = fc.constantFrom(
    '..',
    '.',
    '%2e%2e',
    '%2e',
    '/',
    '//',
    '%2f',
    '%5c',
    '\\',
    '%00',
    'docs',
    'index',
    '.html',
    'a',
    'b',
    'secret',
    '.env',
    'link',
    '%',
    '%zz',
    '?',
    '#',
    ';',
    '~',
    '%C3%BC',
    'made',
    'files',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const socket = connect(edge.port, '127.0.0.1');
      socket.write(`GET /${pieces.join('')} HTTP/1.1\r\nhost: p.localhost\r\nconnection: close\r\n\r\n`);
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      const [head, body = ''] = text.split('\r\n\r\n');
      assert.match(head!, /^HTTP\/1\.1 (200|308|400|404) /);
      if (head!.startsWith('HTTP/1.1 200')) assert.ok(Object.values(FILES).includes(body), body);
      assert.ok(!body.includes('SECRET') && body !== 'secret');
    }),
    { numRuns: 300 },
  );
});

test('precompressed files go to those who take them, each under a tag of its own', async () => {
  await using edge = await site();
  const ask = async (encoding: string | undefined) => {
    const { headers, body } = await edge.get('/', encoding === undefined ? {} : { headers: { 'accept-encoding': encoding } });
    assert.equal(headers.vary, 'accept-encoding');
    assert.equal(Number(headers['content-length']), body.length);
    return { coding: headers['content-encoding'], body: body.toString(), etag: String(headers.etag) };
  };
  const plain = await ask(undefined);
  const br = await ask('gzip, deflate, br, zstd');
  const zipped = await ask('gzip, br;q=0');
  assert.deepEqual([plain.coding, plain.body], [undefined, '<h1>home</h1>']);
  assert.deepEqual([br.coding, br.body], ['br', 'br of home']);
  assert.deepEqual([zipped.coding, zipped.body], ['gzip', 'gzip of home!']);
  assert.equal(new Set([plain.etag, br.etag, zipped.etag]).size, 3);
  assert.equal((await edge.get('/about.html')).headers.vary, undefined);
  const same = await edge.get('/', { headers: { 'accept-encoding': 'br', 'if-none-match': br.etag } });
  assert.deepEqual([same.status, same.headers.vary, same.body.length], [304, 'accept-encoding', 0]);
  assert.equal((await edge.get('/', { headers: { 'accept-encoding': 'br', 'if-none-match': plain.etag } })).status, 200);
});

test('which coding', () => {
  const both = { br: 1, gzip: 1 };
  for (const [header, expected] of [
    [undefined, undefined],
    ['', undefined],
    ['identity', undefined],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['BR', 'br'],
    ['*', 'br'],
    ['*;q=0', undefined],
    ['gzip;q=1, *;q=0.5', 'gzip'],
    ['gzip;q=0.5, br;q=0.4', 'gzip'],
    ['br;q=0, *', 'gzip'],
    ['br;q=nonsense, gzip;q=7', undefined],
  ] as const)
    assert.equal(codingFor(header, both), expected, header ?? 'none');
  assert.equal(codingFor('br, gzip', { br: undefined, gzip: 1 }), 'gzip');
  assert.equal(codingFor('br', { br: undefined, gzip: undefined }), undefined);
});

test('conditions: 304 and 412', async () => {
  await using edge = await site();
  const { headers } = await edge.get('/about.html');
  const [etag, modified] = [headers.etag!, headers['last-modified']!];
  const later = new Date(Date.parse(modified) + 5_000).toUTCString();
  const earlier = new Date(Date.parse(modified) - 5_000).toUTCString();
  const cases: [Record<string, string>, number][] = [
    [{ 'if-none-match': etag }, 304],
    [{ 'if-none-match': `W/${etag}` }, 304],
    [{ 'if-none-match': '"x"' }, 200],
    [{ 'if-modified-since': modified }, 304],
    [{ 'if-modified-since': later }, 200],
    [{ 'if-modified-since': earlier }, 200],
    [{ 'if-modified-since': 'nonsense' }, 200],
    [{ 'if-none-match': '"x"', 'if-modified-since': modified }, 200],
    [{ 'if-match': etag }, 200],
    [{ 'if-match': '*' }, 200],
    [{ 'if-match': '"x"' }, 412],
    [{ 'if-match': `W/${etag}` }, 412],
    [{ 'if-unmodified-since': earlier }, 412],
    [{ 'if-unmodified-since': modified }, 200],
  ];
  for (const [asked, status] of cases) {
    const answer = await edge.get('/about.html', { headers: asked });
    assert.equal(answer.status, status, JSON.stringify(asked));
    if (status === 304) assert.deepEqual([answer.headers.etag, answer.headers['content-type'], answer.body.length], [etag, undefined, 0]);
  }
});

test('ranges of small and of large files', async () => {
  await using edge = await site();
  for (const path of ['/about.html', '/large.bin']) {
    const whole = (await edge.get(path)).body;
    const n = whole.length;
    const cases: [string, number, Buffer | undefined, string?][] = [
      ['bytes=0-0', 206, whole.subarray(0, 1), `bytes 0-0/${n}`],
      ['bytes=1-3', 206, whole.subarray(1, 4), `bytes 1-3/${n}`],
      ['bytes=2-', 206, whole.subarray(2), `bytes 2-${n - 1}/${n}`],
      ['bytes=-2', 206, whole.subarray(n - 2), `bytes ${n - 2}-${n - 1}/${n}`],
      [`bytes=0-${n * 2}`, 206, whole, `bytes 0-${n - 1}/${n}`],
      [`bytes=-${n * 2}`, 206, whole, `bytes 0-${n - 1}/${n}`],
      [`bytes=${n}-`, 416, undefined, `bytes */${n}`],
      ['bytes=-0', 416, undefined, `bytes */${n}`],
      ['bytes=0-1,3-4', 200, whole],
      ['bytes=3-1', 200, whole],
      ['lines=1-2', 200, whole],
      ['bytes=x', 200, whole],
    ];
    for (const [range, status, body, contentRange] of cases) {
      const answer = await edge.get(path, { headers: { range, 'accept-encoding': 'br, gzip' } });
      assert.deepEqual([answer.status, answer.headers['content-range']], [status, contentRange], `${path} ${range}`);
      if (body !== undefined) assert.ok(answer.body.equals(body), `${path} ${range}`);
    }
    const etag = String((await edge.get(path)).headers.etag);
    assert.equal((await edge.get(path, { headers: { range: 'bytes=0-1', 'if-range': etag } })).status, 206);
    assert.equal((await edge.get(path, { headers: { range: 'bytes=0-1', 'if-range': '"old"' } })).status, 200);
  }
  const part = await edge.get('/', { headers: { range: 'bytes=0-3', 'accept-encoding': 'br' } });
  assert.deepEqual([part.headers['content-encoding'], part.body.toString()], [undefined, '<h1>']);
});

test('HEAD says what GET would; other methods are refused with what is allowed', async () => {
  await using edge = await site();
  for (const path of ['/', '/large.bin', '/none', '/docs']) {
    const [get, head] = [await edge.get(path), await edge.get(path, { method: 'HEAD' })];
    assert.deepEqual(
      [head.status, head.headers['content-length'], head.headers.etag],
      [get.status, get.headers['content-length'], get.headers.etag],
    );
    assert.equal(head.body.length, 0);
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const { status, headers } = await edge.get('/', { method, body: 'x' });
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD, OPTIONS'], method);
  }
  const options = await edge.get('/', { method: 'OPTIONS' });
  assert.deepEqual([options.status, options.headers.allow], [204, 'GET, HEAD, OPTIONS']);
});

test('a single-page application: pages that a browser opens, but no scripts and images', async () => {
  const page = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
  await using edge = await site({ spa: true });
  const opened = await edge.get('/users/7', { headers: page });
  assert.deepEqual([opened.status, opened.body.toString(), opened.headers.vary], [200, '<h1>home</h1>', 'accept, accept-encoding']);
  assert.equal((await edge.get('/users/7/', { headers: page })).status, 200);
  assert.equal((await edge.get('/app.old.js', { headers: { accept: '*/*' } })).status, 404);
  assert.equal((await edge.get('/users/7')).status, 404);
  await using other = await site({ fallback: 'about.html', notFound: '404.html', cleanUrls: true });
  assert.equal((await other.get('/x', { headers: page })).body.toString(), 'about');
  assert.equal((await other.get('/about')).body.toString(), 'about');
  const missing = await other.get('/x');
  assert.deepEqual(
    [missing.status, missing.body.toString(), missing.headers['content-type']],
    [404, 'nothing here', 'text/html; charset=utf-8'],
  );
  assert.equal((await other.get('/x', { headers: { 'if-none-match': '*' } })).status, 404);
});

test('what may be kept for ever', async () => {
  const cases: [string, boolean][] = [
    ['app.3f2a91bc.js', true],
    ['static/chunk-0a1b2c3d4e5f.css', true],
    ['assets/index-DiwrgTda.js', true],
    ['_next/static/chunks/main-0Kx91abc.js', true],
    ['index-DiwrgTda.js', false],
    ['report-20240101.pdf', false],
    ['IMG_12345678.jpg', false],
    ['my-deadbeef.js', false],
    ['assets/logo.svg', false],
    ['page.3f2a91bc.html', false],
  ];
  for (const [path, expected] of cases) assert.equal(isImmutable(path, undefined), expected, path);
  assert.deepEqual([isImmutable('x/a.js', ['x']), isImmutable('xy/a.js', ['x']), isImmutable('app.3f2a91bc.js', [])], [true, false, false]);
  await using edge = await site({ cacheControl: 'public, max-age=300' });
  assert.equal((await edge.get('/app.3f2a91bc.js')).headers['cache-control'], 'public, max-age=31536000, immutable');
  assert.equal((await edge.get('/')).headers['cache-control'], 'public, max-age=300');
});

test('small files are held within the budget, the last ones asked for; large ones never', async () => {
  await using edge = await setUp(NOBODY, {
    routes: [{ path: '/{file+}', methods: null, static: { folder: 'public' } }],
    folders: { public: join(folder, 'made') },
    filesBytesMax: 600,
  });
  for (const path of ['/', '/about.html', '/docs/', '/large.bin', '/a/b/c.svg']) {
    assert.equal((await edge.get(path)).status, 200);
    assert.ok(edge.files.bytes <= 600);
  }
  assert.ok(edge.files.bytes > 500);
  assert.equal((await edge.get('/')).body.toString(), '<h1>home</h1>');
});

test('a client that leaves in the middle of a large file: it is closed', async () => {
  await using edge = await site();
  const socket = connect(edge.port, '127.0.0.1');
  socket.write('GET /large.bin HTTP/1.1\r\nhost: p.localhost\r\n\r\n');
  await once(socket, 'data');
  socket.destroy();
  assert.equal((await edge.get('/large.bin')).body.length, LARGE.length);
});

test('an index from elsewhere is read with care', () => {
  const names = ['a', ...HOSTILE, '.well-known/x', 'b/.c', '.well-known/.x'];
  const files = names.map((path) => ({ path, bytes: 1, sha256: 'a'.repeat(64) }));
  assert.deepEqual([...readIndex(JSON.stringify({ files }), 0).files.keys()], ['a', '.well-known/x']);
  const wrong = [
    { path: 'a', bytes: -1, sha256: 'a'.repeat(64) },
    { path: 'b', bytes: 1, sha256: '"\r\n' },
  ];
  assert.equal(readIndex(JSON.stringify({ files: wrong }), 0).files.size, 0);
});
