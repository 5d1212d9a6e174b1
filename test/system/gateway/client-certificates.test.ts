// Certificates of clients (mutual TLS), over HTTP/1.1 and HTTP/2, with authorities made by openssl.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { freePort, startVirga, temporaryFolder } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { makeAuthority } from './certificates.ts';

interface Pair {
  cert: string;
  key: string;
}

const WHO = `export default { fetch: (request, context) => Response.json(context.principal ?? null) };`;
const DAY_MS = 86_400_000;

let folder: string;
let virga: Virga;
let port: number;
let server: { pem: string };
const clients: Record<string, Pair> = {};

before(async () => {
  folder = await temporaryFolder();
  const authority = async (name: string) => {
    await mkdir(join(folder, name));
    return makeAuthority(join(folder, name));
  };
  const [own, partners, strangers] = [await authority('server'), await authority('partners'), await authority('strangers')];
  server = own;
  const files = join(folder, 'certificates');
  await mkdir(files);
  own.certify(join(files, 'default'), ['vault.localhost', 'plain.localhost']);
  clients['robot'] = partners.certify(join(folder, 'robot'), ['robot', 'robot.example.com']);
  clients['other'] = partners.certify(join(folder, 'other'), ['other']);
  clients['stranger'] = strangers.certify(join(folder, 'stranger'), ['robot']);
  clients['old'] = partners.certify(join(folder, 'old'), ['robot'], {
    from: new Date(Date.now() - 9 * DAY_MS),
    until: new Date(Date.now() - DAY_MS),
  });
  port = await freePort();
  virga = await startVirga({ args: ['--https-port', String(port)], env: { VIRGA_TLS_CERTIFICATES: files } });
  const pem = partners.pem.trim().replaceAll('\n', '\n          ');
  const deployed = await virga.deploy({
    'virga.yaml': `
project: vault
gateway:
  auth:
    machines:
      certificate:
        ca: |
          ${pem}
    robots:
      certificate:
        subjects: ["DNS:robot.example.com", "O=Nobody"]
        ca: |
          ${pem}
    keys: {keys: {}}
functions:
  who:
    source: who.mjs
    http:
      - {path: /machines, auth: machines}
      - {path: /robots, auth: robots}
      - {path: /either, auth: {any: [machines, keys]}}
      - {path: /open}
`,
    'who.mjs': WHO,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.equal(
    (await virga.deploy({ 'virga.yaml': 'project: plain\nfunctions:\n  who: {source: who.mjs, http: /open}\n', 'who.mjs': WHO })).code,
    0,
  );
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function ask(path: string, client?: string, headers: Record<string, string> = {}) {
  const host = 'vault.localhost';
  const request = httpsRequest({
    host: '127.0.0.1',
    port,
    path,
    servername: host,
    ca: server.pem,
    agent: false,
    headers: { host, ...headers },
    ...(client === undefined ? {} : clients[client]),
  });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const text = (await response.toArray()).join('');
  return {
    status: response.statusCode,
    challenge: response.headers['www-authenticate'],
    text,
    body: JSON.parse(text) as Record<string, unknown>,
  };
}

test('a client whose certificate is signed by the authority is known by it', async () => {
  const { status, text, body } = await ask('/machines', 'robot');
  assert.equal(status, 200, text);
  const { claims, ...principal } = body as { claims: Record<string, string> };
  assert.deepEqual(principal, { kind: 'certificate', id: 'robot', scopes: [] });
  assert.deepEqual(
    [claims['subject'], claims['issuer'], claims['subjectAltName']],
    ['CN=robot', 'CN=Test Root', 'DNS:robot, DNS:robot.example.com'],
  );
});

test('none, one of another authority of the same name, and an old one are 401', async () => {
  const none = await ask('/machines');
  assert.deepEqual([none.status, none.challenge], [401, 'Certificate realm="vault"']);
  for (const [client, said] of [
    ['stranger', /signed by nobody who is accepted/],
    ['old', /has expired/],
  ] as const) {
    const { status, text, challenge } = await ask('/machines', client);
    assert.equal(status, 401, client);
    assert.match(text, said);
    assert.match(challenge ?? '', /^Certificate realm="vault", error="invalid_token"/);
  }
  assert.equal((await ask('/open', 'stranger')).status, 200);
});

test('a certificate of another subject is 403', async () => {
  assert.equal((await ask('/robots', 'robot')).status, 200);
  assert.equal((await ask('/robots', 'other')).status, 403);
  assert.equal((await ask('/machines', 'other')).status, 200);
});

test('without HTTPS, and by a header, nobody has a certificate', async () => {
  const plain = await virga.fetch('vault', '/machines', { headers: { 'x-client-cert': clients['robot']!.cert.replaceAll('\n', '') } });
  assert.equal(plain.status, 401);
  const { key } = (await virga.cli(['keys', 'create', '--project', 'vault', '--json'])).json<{ key: string }>();
  assert.equal((await ask('/either', undefined, { 'x-api-key': key })).status, 200);
  assert.equal((await ask('/either', 'robot')).status, 200);
});

test('over HTTP/2 the certificate of the connection counts for all its requests', async () => {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: 'vault.localhost', ca: server.pem, ...clients['robot'] });
  for (const [path, expected] of [
    ['/machines', 200],
    ['/robots', 200],
  ] as const) {
    const stream = session.request({ ':path': path, ':authority': 'vault.localhost' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    stream.resume();
    await once(stream, 'end');
    assert.equal(headers[':status'], expected);
  }
  session.close();
});

test('only hosts of projects that take certificates ask for them', async () => {
  const asked = async (servername: string): Promise<boolean> => {
    const socket = connectTls({ host: '127.0.0.1', port, servername, ca: server.pem, maxVersion: 'TLSv1.2', ...clients['robot'] });
    await once(socket, 'secureConnect');
    // What it sent: nothing where nobody asked.
    socket.write(`GET /open HTTP/1.1\r\nhost: vault.localhost\r\nconnection: close\r\n\r\n`);
    const text = (await socket.toArray()).join('');
    assert.match(text, /^HTTP\/1\.1 200/);
    const machines = connectTls({ host: '127.0.0.1', port, servername, ca: server.pem, ...clients['robot'] });
    await once(machines, 'secureConnect');
    machines.write(`GET /machines HTTP/1.1\r\nhost: vault.localhost\r\nconnection: close\r\n\r\n`);
    return (await machines.toArray()).join('').startsWith('HTTP/1.1 200');
  };
  assert.deepEqual([await asked('vault.localhost'), await asked('plain.localhost')], [true, false]);
});

test('what is no certificate of an authority is refused at deploy', async () => {
  const leaf = clients['robot']!.cert.trim().replaceAll('\n', '\n            ');
  for (const ca of ['certs/ca.pem', `|\n            ${leaf}`]) {
    const wrong = await virga.deploy({
      'virga.yaml': `project: vault\ngateway:\n  auth:\n    machines:\n      certificate:\n          ca: ${ca}\nfunctions: {who: {source: who.mjs}}\n`,
      'who.mjs': WHO,
    });
    assert.match(wrong.stderr, /certificate\.ca is .*; expected certificates of authorities in PEM/);
  }
});
