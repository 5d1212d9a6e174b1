import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import type { Guest, GuestScript } from '../../functions/testing.ts';
import { Flag, FrameType, encodeMetaFrame } from '../../protocol/frames.ts';
import type { HttpRequestMeta, ResponseMeta } from '../../protocol/frames.ts';
import { setUp } from '../gateway-under-test.ts';
import { Identities, identityOf } from '../tls/identities.ts';

const folder = mkdtempSync(join(tmpdir(), 'doors-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function certify(names: string[]): { cert: string; key: string } {
  const [cert, key] = [join(folder, 'c.pem'), join(folder, 'k.pem')];
  const subject = ['-subj', `/CN=${names[0]}`, '-addext', `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`];
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '5'];
  execFileSync('openssl', [...request, '-keyout', key, '-out', cert, ...subject], { stdio: 'ignore' });
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

const MAIN = certify(['p.localhost', '*.wild.test']);
const OTHER = certify(['other.test']);

async function secure(script: GuestScript, options: Parameters<typeof setUp>[1] = {}) {
  const identities = new Identities();
  identities.replaceAll([
    identityOf({ ...MAIN, origin: 'file', label: 'default.crt' }),
    identityOf({ ...OTHER, origin: 'file', label: 'other.crt' }),
  ]);
  const set = await setUp(script, { ...options, front: { ...options.front, tls: { identities } } });
  const door = set.gateway.secure!;
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  return { ...set, identities, port: (door.address() as AddressInfo).port };
}

function client(port: number): ClientHttp2Session {
  return connectHttp2(`https://p.localhost:${port}`, {
    ca: MAIN.cert,
    lookup: (_name, _o, found) => found(null, [{ address: '127.0.0.1', family: 4 }]),
  });
}

async function ask(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: string | Buffer) {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  const text = textOf(stream);
  const [answer] = (await once(stream, 'response')) as [Record<string, string | string[]>];
  return { answer, status: Number(answer[':status']), body: await text, code: stream.rstCode };
}

async function textOf(stream: ClientHttp2Stream): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('error', () => {});
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.on('close', resolve);
  await promise;
  return Buffer.concat(chunks).toString();
}

function sendAnswer(guest: Guest, stream: number, head: ResponseMeta, body = '', end = true): void {
  guest.send(encodeMetaFrame(FrameType.RESPONSE, head, Buffer.from(body), { flags: end ? Flag.END : 0, stream, arg: 0 }));
}

const echo: GuestScript = {
  onRequest: (guest, stream, meta, body) => {
    const { kind: _, ...rest } = meta as HttpRequestMeta;
    sendAnswer(
      guest,
      stream,
      { status: 200, headers: ['content-type', 'application/json'] },
      JSON.stringify({ ...rest, body: body.toString() }),
    );
  },
};

interface Echoed {
  url: string;
  method: string;
  client: string;
  headers: string[];
  body: string;
}

test('HTTP/2 by TLS: the function sees https, the authority as host, one cookie, and nothing of the pseudo-headers', async () => {
  await using edge = await secure(echo);
  const session = client(edge.port);
  const first = await ask(session, { ':path': '/a?b=1', cookie: ['a=1', 'b=2'], 'x-forwarded-proto': 'http', 'x-a': 'b' });
  const seen = JSON.parse(first.body) as Echoed;
  assert.equal(first.status, 200);
  assert.deepEqual([seen.url, seen.client], [`https://p.localhost:${edge.port}/a?b=1`, '127.0.0.1']);
  const headers = new Map(seen.headers.flatMap((name, i) => (i % 2 === 0 ? [[name, seen.headers[i + 1]]] : [])) as [string, string][]);
  assert.deepEqual(
    [headers.get('host'), headers.get('cookie'), headers.get('x-forwarded-proto'), headers.get('x-a')],
    [`p.localhost:${edge.port}`, 'a=1; b=2', 'https', 'b'],
  );
  assert.deepEqual(
    [...headers.keys()].filter((name) => name.startsWith(':')),
    [],
  );
  const sent = JSON.parse(
    (await ask(session, { ':path': '/p', ':method': 'POST', 'content-length': 50_000 }, 'x'.repeat(50_000))).body,
  ) as Echoed;
  assert.deepEqual([sent.method, sent.body.length], ['POST', 50_000]);
  session.close();
});

test('headers of a connection and several of one name leave HTTP/2 as they must; one that cannot be sent is a clear 502', async () => {
  await using edge = await secure({
    onRequest: (guest, stream, meta) => {
      const bad = (meta as HttpRequestMeta).url.endsWith('/bad');
      const value = bad ? 'a\nb' : 'b';
      sendAnswer(
        guest,
        stream,
        { status: 200, headers: ['x-first', '1', 'x-a', value, 'connection', 'x', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2'] },
        'hi',
      );
    },
  });
  const session = client(edge.port);
  const good = await ask(session, { ':path': '/x' });
  assert.deepEqual([good.status, good.body, good.answer['set-cookie'], good.answer['connection']], [200, 'hi', ['a=1', 'b=2'], undefined]);
  const bad = await ask(session, { ':path': '/bad' });
  assert.deepEqual([bad.status, bad.answer['x-first']], [502, undefined]);
  assert.match(bad.body, /function_bad_response/);
  session.close();
});

test('an answer that breaks off is broken off in HTTP/2 too, and a stream that its client resets abandons the call', async () => {
  const guests: Guest[] = [];
  const cancelled = Promise.withResolvers<void>();
  await using edge = await secure({
    onRequest: (guest, stream) => {
      guests.push(guest);
      sendAnswer(guest, stream, { status: 200, headers: [] }, 'half', false);
    },
    onFrame: (_guest, frame) => {
      if (frame.type === FrameType.CANCEL) cancelled.resolve();
    },
  });
  const session = client(edge.port);
  const left = session.request({ ':path': '/left' });
  left.on('error', () => {});
  await once(left, 'response');
  left.close(constants.NGHTTP2_CANCEL);
  await cancelled.promise;
  const broken = session.request({ ':path': '/break' });
  const failed = once(broken, 'error');
  const [half] = (await once(broken, 'data')) as [Buffer];
  guests.at(-1)!.end({ code: 1 });
  await assert.rejects(
    failed.then(([error]) => Promise.reject(error as Error)),
    /NGHTTP2_INTERNAL_ERROR/,
  );
  assert.equal(half.toString(), 'half');
  session.close();
});

test('what is too large is answered in HTTP/2 as well, and the rest of its body is not read', async () => {
  await using edge = await secure(echo, {
    requestBytesMax: 1_000,
    front: { limits: { urlBytesMax: 200, headersMax: 10, headBytesMax: 4_096 } },
  });
  const session = client(edge.port);
  const body = await ask(session, { ':path': '/x', ':method': 'POST', 'content-length': 5_000_000 }, Buffer.alloc(5_000_000));
  assert.deepEqual([body.status, /request_too_large/.test(body.body)], [413, true]);
  assert.equal((await ask(session, { ':path': `/${'u'.repeat(300)}` })).status, 414);
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`x-${i}`, 'v']));
  assert.equal((await ask(session, { ':path': '/x', ...many })).status, 431);
  assert.equal((await ask(session, { ':path': '/x', 'x-long': 'v'.repeat(4_200) })).status, 431);
  assert.equal((await ask(session, { ':path': '/x' })).status, 200);
  session.close();
});

test('a name gets its certificate, an unknown one the default; what clients may speak is TLS 1.2 and 1.3 alone', async () => {
  await using edge = await secure(echo);
  const shake = async (options: object) => {
    const socket = connectTls({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    await once(socket, 'secureConnect');
    const of = { names: socket.getPeerCertificate().subjectaltname, protocol: socket.alpnProtocol, tls: socket.getProtocol() };
    socket.destroy();
    return of;
  };
  assert.match((await shake({ servername: 'OTHER.test' })).names!, /other\.test/);
  assert.match((await shake({ servername: 'deep.wild.test' })).names!, /p\.localhost/);
  assert.match((await shake({ servername: 'unknown.test' })).names!, /p\.localhost/);
  assert.match((await shake({})).names!, /p\.localhost/);
  assert.deepEqual((await shake({ ALPNProtocols: ['http/1.1', 'h2'] })).protocol, 'h2');
  assert.deepEqual((await shake({ maxVersion: 'TLSv1.2' })).tls, 'TLSv1.2');
  await assert.rejects(shake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }));
  await assert.rejects(shake({ maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }));
  edge.identities.replaceAll([identityOf({ ...OTHER, origin: 'file', label: 'other.crt' })]);
  assert.match((await shake({})).names!, /other\.test/);
});

test('HTTP/1.1 by TLS serves the same, resumes its sessions, and drains as plain HTTP does; HTTP/2 is told to go', async () => {
  await using edge = await secure(echo);
  const first = connectTls({ port: edge.port, host: '127.0.0.1', ca: MAIN.cert, servername: 'p.localhost' });
  const [ticket] = (await once(first, 'session')) as [Buffer];
  first.destroy();
  const again = connectTls({ port: edge.port, host: '127.0.0.1', ca: MAIN.cert, servername: 'p.localhost', session: ticket });
  await once(again, 'secureConnect');
  assert.ok(again.isSessionReused());
  again.destroy();
  const plain = httpsRequest({
    port: edge.port,
    host: '127.0.0.1',
    ca: MAIN.cert,
    servername: 'p.localhost',
    path: '/x',
    headers: { host: 'p.localhost' },
  }).end();
  const [got] = (await once(plain, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await got.toArray()).toString();
  assert.equal((JSON.parse(text) as Echoed).url, 'https://p.localhost/x', text);
  const session = client(edge.port);
  await once(session, 'remoteSettings');
  const gone = once(session, 'goaway');
  edge.gateway.drain();
  assert.equal((await gone)[0], constants.NGHTTP2_NO_ERROR);
  await edge.gateway.flushed(2_000);
});
