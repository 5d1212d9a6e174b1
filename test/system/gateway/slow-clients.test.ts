// Clients that are slow on purpose, or send too much of a head: each is answered or cut off within its bound, and what it held
// up is free again.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { makeAuthority } from './certificates.ts';

const PROJECT = {
  'virga.yaml': `
project: slow
functions:
  echo:
    source: echo.mjs
    concurrency: 100
    http: [/echo, /flood, /wait, /trickle]
`,
  'echo.mjs': `
const block = new Uint8Array(65536);
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/flood') return new Response(new ReadableStream({ pull: (to) => to.enqueue(block) }));
    if (pathname === '/wait') {
      await new Promise((done) => setTimeout(done, 2500));
      return new Response('patience');
    }
    if (pathname === '/trickle') {
      let left = 6;
      const body = new ReadableStream({
        async pull(to) {
          await new Promise((done) => setTimeout(done, 400));
          to.enqueue(new TextEncoder().encode('.'));
          if (--left === 0) to.close();
        },
      });
      return new Response(body);
    }
    return new Response(String((await request.arrayBuffer()).byteLength));
  },
};`,
};
const SLOW_MS = 800;

let folder: string;
let virga: Virga;
let port: number;
let httpsPort: number;
let ca: string;

before(async () => {
  folder = await temporaryFolder();
  const authority = makeAuthority(folder);
  authority.certify(join(folder, 'default'), ['localhost']);
  ca = authority.pem;
  httpsPort = await freePort();
  virga = await startVirga({
    args: ['--https-port', String(httpsPort)],
    env: {
      VIRGA_TLS_CERTIFICATES: folder,
      VIRGA_LIMIT_HEAD_TIMEOUT_MS: '700',
      VIRGA_LIMIT_SLOW_CLIENT_MS: String(SLOW_MS),
      VIRGA_LIMIT_SLOW_CLIENT_BYTES_PER_SECOND: '1000',
      VIRGA_LIMIT_HEADERS: '20',
      VIRGA_LIMIT_HEAD_BYTES: '4096',
      VIRGA_LIMIT_URL_BYTES: '500',
    },
  });
  port = Number(new URL(virga.edgeUrl).port);
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What comes until the connection ends. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

const say = (text: string): Socket => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.write(text);
  return socket;
};

/** The instance is free again when nothing is in flight. */
async function nothingInFlight(): Promise<void> {
  for (;;) {
    const status = (await virga.cli(['status', '--json'])).json<{ edge: { inFlight: number } }>();
    if (status.edge.inFlight === 0) return;
  }
}

test('a head that does not come, or drop by drop, is answered 408 and closed; so is silence, by TLS too', async () => {
  const half = heard(say('GET /@slow/echo HTTP/1.1\r\nhost: loc'));
  const silent = heard(connect({ port, host: '127.0.0.1' }));
  const handshake = heard(connect({ port: httpsPort, host: '127.0.0.1' }));
  const dropping = say('GET /@slow/echo HTTP/1.1\r\n');
  const drops = setInterval(() => dropping.write('x'), 100);
  const dropped = heard(dropping);
  assert.match(await half, /^HTTP\/1\.1 408 [\s\S]*connection: close[\s\S]*"request_timeout"/);
  assert.match(await silent, /^(HTTP\/1\.1 408 |$)/);
  assert.equal(await handshake, '');
  await dropped;
  clearInterval(drops);
});

test('a body that comes too slowly is answered 408, and the call that waits for it is let go', async () => {
  for (const length of ['content-length: 100\r\n', 'content-length: 1000000\r\n', 'transfer-encoding: chunked\r\n']) {
    const socket = say(`POST /@slow/echo HTTP/1.1\r\nhost: localhost\r\n${length}\r\n`);
    const drops = setInterval(() => socket.write(length.startsWith('t') ? '1\r\nx\r\n' : 'x'), 100);
    assert.match(await heard(socket), /^HTTP\/1\.1 408 [\s\S]*"request_timeout"[\s\S]*VIRGA_LIMIT_SLOW_CLIENT/, length);
    clearInterval(drops);
  }
  await nothingInFlight();
});

test('a client that does not take its answer is cut off, plain and by TLS, of HTTP/1.1 and of HTTP/2', async () => {
  const plain = say('GET /@slow/flood HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const secure = connectTls({ port: httpsPort, host: '127.0.0.1', ca, servername: 'localhost' });
  secure.write('GET /@slow/flood HTTP/1.1\r\nhost: localhost\r\n\r\n');
  const session = connectHttp2(`https://127.0.0.1:${httpsPort}`, { ca, servername: 'localhost' });
  const stream = session.request({ ':path': '/@slow/flood' });
  const cut = once(stream, 'error');
  for (const socket of [plain, secure]) {
    socket.on('error', () => {});
    await once(socket, 'readable'); // Nothing is read from here on.
  }
  await nothingInFlight();
  await assert.rejects(
    cut.then(([error]) => Promise.reject(error as Error)),
    (error: Error) => error.message.includes('NGHTTP2_ENHANCE_YOUR_CALM'),
  );
  assert.equal(stream.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  for (const socket of [plain, secure]) socket.destroy();
  session.close();
});

test('who waits for a slow function, or hears it speak slowly, or sends fast enough, is left alone', async () => {
  const [patience, dots] = await Promise.all([fetch(`${virga.edgeUrl}/@slow/wait`), fetch(`${virga.edgeUrl}/@slow/trickle`)]);
  assert.deepEqual([await patience.text(), await dots.text()], ['patience', '......']);
  const socket = say('POST /@slow/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 8000\r\n\r\n');
  let left = 8_000;
  const pieces = setInterval(() => {
    socket.write('x'.repeat(400));
    if ((left -= 400) === 0) clearInterval(pieces);
  }, 100);
  assert.match(await heard(socket), /^HTTP\/1\.1 200 [\s\S]*8000/);
});

test('too long a URL is 414, too many or too large headers are 431, nonsense is 400: each with the limit and a closed connection', async () => {
  const head = (url: string, ...headers: string[]): string =>
    `GET ${url} HTTP/1.1\r\nhost: localhost\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`;
  const many = Array.from({ length: 25 }, (_, i) => `x-${i}: v`);
  const cases: [text: string, answer: RegExp][] = [
    [head(`/@slow/echo?${'a'.repeat(600)}`), /^HTTP\/1\.1 414 [\s\S]*url_too_long[\s\S]*VIRGA_LIMIT_URL_BYTES/],
    [`GET /${'a'.repeat(9_000)}`, /^HTTP\/1\.1 414 /],
    [head('/@slow/echo', ...many), /^HTTP\/1\.1 431 [\s\S]*headers_too_large[\s\S]*VIRGA_LIMIT_HEADERS/],
    [head('/@slow/echo', `x-long: ${'v'.repeat(9_000)}`), /^HTTP\/1\.1 431 [\s\S]*VIRGA_LIMIT_HEAD_BYTES/],
    ['NONSENSE\r\n\r\n', /^HTTP\/1\.1 400 [\s\S]*invalid_request/],
  ];
  for (const [text, answer] of cases) {
    const said = await heard(say(text));
    assert.match(said, answer);
    assert.match(said, /connection: close/i);
  }
});
