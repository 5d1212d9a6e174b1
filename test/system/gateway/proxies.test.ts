// Who the client is, where proxies stand before the node: X-Forwarded-*, Forwarded and PROXY, from those that are trusted alone.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { StartOptions, Virga } from '../virga.ts';
import { makeAuthority } from './certificates.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
gateway:
  https: redirect
functions:
  echo:
    source: echo.mjs
    http: [/echo]
`,
  'echo.mjs': `
export default {
  fetch({ url, headers }) {
    return Response.json({ url, client: headers.get('x-forwarded-for'), proto: headers.get('x-forwarded-proto'), forwarded: headers.get('forwarded') });
  },
};`,
};

interface Seen {
  url: string;
  client: string;
  proto: string;
  forwarded: string | null;
}

async function deployed(options: StartOptions, project: Record<string, string> = PROJECT): Promise<Virga> {
  const virga = await startVirga(options);
  const { code, stderr } = await virga.deploy(project);
  assert.equal(code, 0, stderr);
  return virga;
}

const plainProject = { ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('https: redirect', 'https: optional') };

const curl = async (url: string, ...args: string[]): Promise<string> => {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile('curl', ['--silent', '--show-error', ...args, url], (error, stdout, stderr) =>
    error === null ? resolve(stdout) : reject(new Error(stderr)),
  );
  return await promise;
};

test('a proxy that is trusted says the client, the scheme and the host', async () => {
  await using virga = await deployed({ env: { VIRGA_TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' } });
  const ask = async (...headers: string[]): Promise<Seen> =>
    JSON.parse(await curl(`${virga.edgeUrl}/echo`, ...headers.flatMap((header) => ['-H', header]))) as Seen;
  assert.deepEqual(
    await ask('X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.1.2.3', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: shop.localhost'),
    { url: 'https://shop.localhost/echo', client: '198.51.100.7', proto: 'https', forwarded: null },
  );
  const forwarded = await ask('Forwarded: for="[2001:db8::7]:4711";proto=https;host=shop.localhost:8443');
  assert.deepEqual(forwarded, { url: 'https://shop.localhost:8443/echo', client: '2001:db8::7', proto: 'https', forwarded: null });
  // Without a word of HTTPS it was plain.
  const plain = await fetch(`${virga.edgeUrl}/@shop/echo`, { redirect: 'manual', headers: { 'x-forwarded-for': '198.51.100.7' } });
  assert.equal(plain.status, 308);
});

test('of nobody else a word is believed', async () => {
  await using untrusting = await deployed({ env: { VIRGA_TRUSTED_PROXIES: '192.0.2.0/24' } }, plainProject);
  const forged = ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: other.localhost', 'Forwarded: for=6.6.6.6'];
  const own = JSON.parse(await curl(`${untrusting.edgeUrl}/@shop/echo`, ...forged.flatMap((header) => ['-H', header]))) as Seen;
  const redirecting = await untrusting.deploy({
    ...PROJECT,
    'virga.yaml': PROJECT['virga.yaml'].replace('project: shop', 'project: other'),
  });
  assert.equal(redirecting.code, 0, 'a proxy is trusted, so there may be HTTPS');
  assert.deepEqual(own, { url: `${untrusting.edgeUrl}/echo`, client: '127.0.0.1', proto: 'http', forwarded: null });
});

/** All that is answered until the connection ends. */
async function textOf(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const REQUEST = 'GET /@shop/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n';

test('PROXY headers, in pieces too, before HTTP and before TLS; what has none, or a wrong one, is closed unanswered', async () => {
  const folder = await temporaryFolder();
  const authority = makeAuthority(folder);
  authority.certify(`${folder}/default`, ['shop.localhost']);
  const port = await freePort();
  await using virga = await deployed(
    {
      args: ['--https-port', String(port)],
      env: {
        VIRGA_TRUSTED_PROXIES: '127.0.0.1',
        VIRGA_PROXY_PROTOCOL: 'true',
        VIRGA_TLS_CERTIFICATES: folder,
        VIRGA_LIMIT_CLIENT_CONNECTIONS: '3',
      },
    },
    plainProject,
  );
  const edgePort = Number(new URL(virga.edgeUrl).port);
  const say = async (...pieces: (string | Buffer)[]): Promise<string> => {
    const socket = connect({ port: edgePort, host: '127.0.0.1', noDelay: true });
    const text = textOf(socket);
    await once(socket, 'connect');
    for (const piece of pieces) await new Promise((done) => socket.write(piece, done));
    return await text;
  };
  assert.match(await say(`PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n${REQUEST}`), /"client":"198\.51\.100\.7"/);
  assert.match(
    await say('PROXY TCP', '4 198.51.100.8 127.0.0.1 47', '11 80\r', `\n${REQUEST.slice(0, 20)}`, REQUEST.slice(20)),
    /198\.51\.100\.8/,
  );
  const v2 = Buffer.concat([V2_SIGNATURE, Buffer.from('2111000cc63364097f00000112670050', 'hex')]);
  assert.match(await say(Buffer.concat([v2, Buffer.from(REQUEST)])), /"client":"198\.51\.100\.9"/);
  assert.match(await say(Buffer.concat([V2_SIGNATURE, Buffer.from('20000000', 'hex'), Buffer.from(REQUEST)])), /"client":"127\.0\.0\.1"/);
  for (const wrong of [
    REQUEST,
    `PROXY TCP4 nonsense 127.0.0.1 1 2\r\n${REQUEST}`,
    Buffer.concat([V2_SIGNATURE, Buffer.from('31110000', 'hex')]),
  ])
    assert.equal(await say(wrong), '');

  const raw = connect({ port, host: '127.0.0.1' });
  raw.write('PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n');
  const secure = connectTls({ socket: raw, ca: authority.pem, servername: 'shop.localhost' });
  secure.write(REQUEST);
  assert.match(await textOf(secure), /"client":"2001:db8::7"/);

  // Of one address only so many: what PROXY says counts, not the load balancer's own.
  const held: Socket[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = connect({ port: edgePort, host: '127.0.0.1' });
    socket.write(`PROXY TCP4 198.51.100.20 127.0.0.1 1 2\r\n${REQUEST.replace('connection: close\r\n', '')}`);
    await once(socket, 'data');
    held.push(socket);
  }
  assert.equal(await say(`PROXY TCP4 198.51.100.20 127.0.0.1 1 2\r\n${REQUEST}`), '');
  assert.match(await say(`PROXY TCP4 198.51.100.21 127.0.0.1 1 2\r\n${REQUEST}`), /200 OK/);
  for (const socket of held) socket.destroy();
  await rm(folder, { recursive: true, force: true });
});

test('a node that could trust nobody is not started', async () => {
  await assert.rejects(startVirga({ env: { VIRGA_PROXY_PROTOCOL: 'true' } }), /name the load balancers in VIRGA_TRUSTED_PROXIES/);
  await assert.rejects(startVirga({ env: { VIRGA_TRUSTED_PROXIES: '10.0.0.0/33' } }), /'10\.0\.0\.0\/33' is no address or range/);
});
