// HTTPS and HTTP/2 with certificates from files, as curl, node:tls and node:http2 see them: by name, exchanged while it runs,
// and what is said of wrong ones.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { CliResult, Virga } from '../virga.ts';
import { makeAuthority } from './certificates.ts';
import type { Authority } from './certificates.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
gateway:
  https: redirect
  hsts: {maxAge: 365d, includeSubdomains: true, preload: true}
functions:
  echo:
    source: echo.mjs
    http: [/echo, /long]
`,
  'echo.mjs': `
export default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === '/long') {
      await new Promise((done) => setTimeout(done, 1000));
      return new Response('late but whole');
    }
    const { headers, method } = request;
    return Response.json({ url: request.url, method, proto: headers.get('x-forwarded-proto'), client: headers.get('x-forwarded-for'), body: await request.text() });
  },
};`,
};

let folder: string;
let files: string;
let authority: Authority;
let virga: Virga;
let port: number;

before(async () => {
  folder = await temporaryFolder();
  files = join(folder, 'certificates');
  await mkdir(files);
  authority = makeAuthority(folder);
  authority.certify(join(files, 'default'), ['shop.localhost']);
  authority.certify(join(files, '_.pages.test'), ['*.pages.test', 'pages.test']);
  port = await freePort();
  virga = await startVirga({ args: ['--https-port', String(port)], env: { VIRGA_TLS_CERTIFICATES: files } });
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const curl = async (...args: string[]): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const host = ['--resolve', `shop.localhost:${port}:127.0.0.1`, '--cacert', authority.file];
  execFile('curl', ['--silent', '--show-error', ...host, ...args], (error, stdout, stderr) =>
    error === null ? resolve(stdout) : reject(new Error(stderr)),
  );
  return await promise;
};

const namesOf = async (servername: string): Promise<{ names: string; serial: string }> => {
  const socket = connectTls({ port, host: '127.0.0.1', ca: authority.pem, servername, checkServerIdentity: () => undefined });
  await once(socket, 'secureConnect');
  const { subjectaltname = '', serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return { names: subjectaltname, serial: serialNumber };
};

test('curl reaches a function by HTTP/2 and by HTTP/1.1 over TLS; the function sees https', async () => {
  const seen = JSON.parse(await curl('--http2', '-d', 'hello', `https://shop.localhost:${port}/echo?a=1`)) as Record<string, string>;
  assert.deepEqual(seen, {
    url: `https://shop.localhost:${port}/echo?a=1`,
    method: 'POST',
    proto: 'https',
    client: '127.0.0.1',
    body: 'hello',
  });
  assert.match(await curl('-i', '--http2', `https://shop.localhost:${port}/echo`), /^HTTP\/2 200/);
  assert.match(await curl('-i', '--http1.1', `https://shop.localhost:${port}/echo`), /^HTTP\/1\.1 200/);
});

test('many requests share a connection of HTTP/2, and large bodies go both ways', async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: authority.pem, servername: 'shop.localhost' });
  const body = 'x'.repeat(300_000);
  const asked = Array.from({ length: 40 }, async (_, i) => {
    const stream = session.request({ ':path': `/@shop/echo?i=${i}`, ':method': 'POST' });
    stream.end(i === 7 ? body : String(i));
    return JSON.parse(Buffer.concat(await stream.toArray()).toString()) as { url: string; body: string };
  });
  for (const [i, seen] of (await Promise.all(asked)).entries()) {
    assert.ok(seen.url.endsWith(`/echo?i=${i}`), seen.url);
    assert.equal(seen.body, i === 7 ? body : String(i));
  }
  session.close();
});

test('plain requests of a project that says so are sent on to HTTPS; HSTS is said by HTTPS alone', async () => {
  const plain = await fetch(`${virga.edgeUrl}/@shop/echo?a=1`, { redirect: 'manual' });
  assert.equal(plain.status, 308);
  assert.equal(plain.headers.get('location'), `https://127.0.0.1:${port}/@shop/echo?a=1`);
  assert.equal(plain.headers.get('strict-transport-security'), null);
  const secure = await curl('-i', `https://shop.localhost:${port}/echo`);
  assert.match(secure, /strict-transport-security: max-age=31536000; includeSubDomains; preload/i);
});

test('what cannot be is refused at deployment: HSTS that no browser would keep, a redirect to HTTPS that nobody serves', async () => {
  const wrong = await virga.deploy({
    ...PROJECT,
    'virga.yaml': PROJECT['virga.yaml'].replace('maxAge: 365d', 'maxAge: 30d').replace('https: redirect', 'https: redirct'),
  });
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.stderr, /:4:\d+.*https.*redirect/);
  assert.match(wrong.stderr, /:5:\d+.*preload takes a maxAge of at least 365d/);
  await using plain = await startVirga();
  const refused = await plain.deploy(PROJECT);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /serves no HTTPS: start it with --https-port/);
});

test('a WebSocket of HTTP/1.1 over TLS is told that this function takes none, not left waiting', async () => {
  const options = { ca: authority.pem, servername: 'shop.localhost' };
  const socket = new WebSocket(`wss://127.0.0.1:${port}/@shop/echo`, [], options);
  const [error] = (await once(socket, 'error')) as [Error];
  assert.match(error.message, /501/);
});

test('each name gets the certificate that is for it, wildcards one label deep, others the default', async () => {
  assert.match((await namesOf('a.pages.test')).names, /\*\.pages\.test/);
  assert.match((await namesOf('a.b.pages.test')).names, /shop\.localhost/);
  assert.match((await namesOf('elsewhere.test')).names, /shop\.localhost/);
});

const problems = async (): Promise<CliResult> => await virga.cli(['certificates', '--json']);

test('a certificate is exchanged without a restart, and a wrong one takes nothing away', async () => {
  const old = await namesOf('a.pages.test');
  authority.certify(join(folder, 'new'), ['*.pages.test', 'pages.test']);
  await rename(join(folder, 'new.key'), join(files, '_.pages.test.key'));
  await until(async () => (await problems()).stdout.includes('is not the key of the certificate for *.pages.test'));
  assert.equal((await namesOf('a.pages.test')).serial, old.serial);
  await rename(join(folder, 'new.crt'), join(files, '_.pages.test.crt'));
  await until(async () => (await namesOf('a.pages.test')).serial !== old.serial);
  assert.equal((await problems()).code, 0);
});

test('what is wrong with files is said with the file and what to do, and everything else goes on', async () => {
  const day = 86_400_000;
  authority.certify(join(files, 'old.test'), ['old.test'], { from: new Date(Date.now() - 2 * day), until: new Date(Date.now() - day) });
  authority.certify(join(files, 'wrong.test'), ['right.test']);
  authority.certify(join(folder, 'alone'), ['alone.test']);
  await copyFile(join(folder, 'alone.crt'), join(files, 'alone.crt'));
  await writeFile(join(files, 'nonsense.pem'), 'nonsense');
  await until(async () => {
    const { stdout } = await problems();
    return ['old.test.crt expired on', 'alone.crt has no key', 'nonsense.pem', 'is called after wrong.test, but is for right.test'].every(
      (said) => stdout.includes(said),
    );
  });
  assert.match((await namesOf('elsewhere.test')).names, /shop\.localhost/);
  const { code, stdout } = await virga.cli(['certificates']);
  assert.equal(code, 1);
  assert.match(stdout, /old\.test +old\.test\.crt +Test Root +expired/);
  assert.match(stdout, /shop\.localhost +default\.crt +Test Root +valid/);
});

test('a stopping node finishes what it serves by HTTP/2, and closes the connection', async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: authority.pem, servername: 'shop.localhost' });
  await once(session, 'remoteSettings');
  const stream = session.request({ ':path': '/@shop/long' });
  const gone = once(session, 'goaway');
  const closed = once(session, 'close');
  // Sent after the request: when it is answered, that has arrived.
  await new Promise((done) => session.ping(done));
  const stopped = virga.stop();
  await gone;
  assert.equal(Buffer.concat(await stream.toArray()).toString(), 'late but whole');
  await closed;
  await stopped;
});

/** Asks again until it is so; the test's own time limit ends it. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}
