// Files as a target of routes: deployed by the CLI, fetched by undici, curl and a browser's kind of request; changed, returned to,
// and refused where the manifest is wrong.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startVirga, temporaryFolder, writeFiles } from '../virga.ts';
import type { Virga } from '../virga.ts';

const curl = promisify(execFile);

const MANIFEST = `
project: site
gateway:
  defaults:
    cors: {origins: [https://app.example.com]}
  routes:
    - path: /{file+}
      static: {folder: public, spa: true}
    - path: /docs/{file+}
      static: {folder: docs, notFound: 404.html, cleanUrls: true, cacheControl: "public, max-age=60"}
functions:
  api:
    source: api.mjs
    http: /api/{rest+}
`;
const SCRIPT = 'export const words = ["' + 'rain that evaporates ","'.repeat(400) + '"];';
const PROJECT = {
  'virga.yaml': MANIFEST,
  'api.mjs': `export default { fetch: (request) => Response.json({ path: new URL(request.url).pathname }) };`,
  'public/index.html': '<!doctype html><title>app</title>',
  'public/app.3f2a91bc.js': SCRIPT,
  'public/.secret': 'secret',
  'public/.well-known/security.txt': 'Contact: mailto:a@example.com',
  'public/img/dot.svg': '<svg xmlns="http://www.w3.org/2000/svg"/>',
  'docs/index.html': '<h1>docs</h1>',
  'docs/guide.html': '<h1>guide</h1>',
  'docs/404.html': '<h1>no such page</h1>',
};
const PAGE = { accept: 'text/html,*/*;q=0.8' };

let virga: Virga;
let folder: string;
before(async () => {
  virga = await startVirga();
  folder = await temporaryFolder('virga-site-');
  await writeFiles(folder, PROJECT);
  await writeFile(join(folder, 'public', 'large.bin'), Buffer.alloc(3_000_000, '0123456789'));
  await symlink('../api.mjs', join(folder, 'public', 'code'));
  const deployed = await virga.cli(['deploy', folder, '--json']);
  assert.equal(deployed.code, 0, deployed.stderr);
  const { changes } = deployed.json<{ changes: { kind: string; name: string; change: string }[] }>();
  assert.deepEqual(
    changes.filter(({ kind }) => kind === 'folder').map(({ name, change }) => `${name} ${change}`),
    ['docs create', 'public create'],
  );
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
  const answer = await virga.fetch('site', path, { headers, method, redirect: 'manual' });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
};
const url = (path: string) => `${virga.edgeUrl}/@site${path}`;

test('files, the pages of a single-page application, and an API beside them', async () => {
  const home = await ask('/');
  assert.deepEqual(
    [home.status, home.headers.get('content-type'), home.text],
    [200, 'text/html; charset=utf-8', PROJECT['public/index.html']],
  );
  assert.equal(home.headers.get('etag'), `"${createHash('sha256').update(home.text).digest('hex').slice(0, 32)}"`);
  assert.equal((await ask('/users/7', PAGE)).text, home.text);
  assert.equal((await ask('/users/7.js')).status, 404);
  assert.deepEqual(JSON.parse((await ask('/api/x')).text), { path: '/api/x' });
  assert.equal((await ask('/.well-known/security.txt')).status, 200);
  for (const path of ['/.secret', '/%2esecret', '/code', '/index.json', '/files/index.html'])
    assert.equal((await ask(path)).status, 404, path);
  assert.equal((await ask('/', {}, 'POST')).status, 405);
  const cors = await ask('/', { origin: 'https://app.example.com' });
  assert.equal(cors.headers.get('access-control-allow-origin'), 'https://app.example.com');
});

test('a folder below a path, with pages without extension and a page for what is not there', async () => {
  assert.deepEqual([(await ask('/docs')).status, (await ask('/docs')).headers.get('location')], [308, '/@site/docs/']);
  assert.equal((await ask('/docs/')).text, '<h1>docs</h1>');
  const guide = await ask('/docs/guide');
  assert.deepEqual([guide.text, guide.headers.get('cache-control')], ['<h1>guide</h1>', 'public, max-age=60']);
  const missing = await ask('/docs/none', PAGE);
  assert.deepEqual([missing.status, missing.text], [404, '<h1>no such page</h1>']);
});

test('curl: brotli and gzip from the deploy, unpacked again by the client', async () => {
  const path = url('/app.3f2a91bc.js');
  for (const coding of ['br', 'gzip']) {
    const { headers } = await ask('/app.3f2a91bc.js', { 'accept-encoding': coding });
    assert.equal(headers.get('content-encoding'), coding);
    assert.ok(Number(headers.get('content-length')) < SCRIPT.length / 5);
    assert.equal(headers.get('cache-control'), 'public, max-age=31536000, immutable');
  }
  assert.equal((await ask('/app.3f2a91bc.js', { 'accept-encoding': 'br' })).text, SCRIPT);
  assert.equal((await curl('curl', ['-sS', '--compressed', '-H', 'accept-encoding: gzip', path])).stdout, SCRIPT);
  assert.equal((await curl('curl', ['-sS', path])).stdout, SCRIPT);
});

test('curl: a download that was broken off is taken up again, a copy is asked about', async () => {
  const to = join(folder, 'part.bin');
  await writeFile(to, Buffer.alloc(1_234_567, '0123456789'));
  await curl('curl', ['-sS', '-C', '-', '-o', to, url('/large.bin')]);
  const { stdout } = await curl('sha256sum', [to]);
  assert.equal(stdout.slice(0, 64), createHash('sha256').update(Buffer.alloc(3_000_000, '0123456789')).digest('hex'));
  const copied = await curl('curl', ['-sS', '-o', to, '-R', url('/img/dot.svg')]);
  assert.equal(copied.stderr, '');
  assert.equal((await curl('curl', ['-sS', '-z', to, '-o', '/dev/null', '-w', '%{http_code}', url('/img/dot.svg')])).stdout, '304');
  assert.equal((await curl('curl', ['-sS', '-r', '9999999-', '-o', '/dev/null', '-w', '%{http_code}', url('/large.bin')])).stdout, '416');
});

test('a deploy swaps the files, uploads what is new alone, and a rollback returns them', async () => {
  const etag = (await ask('/')).headers.get('etag')!;
  const none = await virga.cli(['deploy', folder, '--json']);
  assert.equal(none.json<{ changed: boolean }>().changed, false);
  await writeFile(join(folder, 'public', 'index.html'), '<title>new</title>');
  const deployed = await virga.cli(['deploy', folder, '--json']);
  const { changes } = deployed.json<{ changes: { kind: string; name: string; change: string }[] }>();
  assert.deepEqual(
    changes.filter(({ change }) => change !== 'none').map(({ kind, name }) => `${kind} ${name}`),
    ['folder public'],
  );
  const changed = await ask('/', { 'if-none-match': etag });
  assert.deepEqual([changed.status, changed.text], [200, '<title>new</title>']);
  assert.equal((await virga.cli(['rollback', '--project', 'site'])).code, 0);
  assert.equal((await ask('/', { 'if-none-match': etag })).status, 304);
});

test('what is wrong with a folder is told before anything is uploaded, with its place', async () => {
  const wrong = async (rules: string, path = '/{file+}') => {
    const text = `project: site\nfunctions: {}\ngateway:\n  routes:\n    - path: ${path}\n      static: ${rules}\n`;
    const { code, stderr } = await virga.deploy({ 'virga.yaml': text, 'public/index.html': 'x' });
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(await wrong('{folder: publik}'), /virga\.yaml:6:\d+.*there is no folder 'publik'.*did you mean 'public'/);
  assert.match(
    await wrong('{folder: public, notFound: 404.html}'),
    /virga\.yaml:6:\d+.*there is no file '404\.html' in the folder 'public'/,
  );
  assert.match(await wrong('{folder: ../public}'), /expected a folder inside the folder of the manifest/);
  assert.match(await wrong('{folder: virga.yaml}'), /'virga\.yaml' is a file; expected a folder/);
  assert.match(await wrong('{folder: public}', '/about'), /virga\.yaml:5:\d+.*the path \/about does not end with what names the file/);
  assert.match(await wrong('{folder: public, singlePage: true}'), /static has no key 'singlePage'/);
  assert.match(await wrong('{folder: public, index: ../x}'), /expected the name of a file in the folder/);
});
