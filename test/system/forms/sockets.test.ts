// WebSockets through the gateway, by the npm package `ws` on both sides: examples/web's chat; what ends a connection; and
// functions that cannot take one.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually, ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { closed, logOf, message, refusedHandshake, webSocket } from './clients.ts';

let virga: Virga;

before(async () => {
  virga = await startVirga();
  const deployed = await virga.cli(['deploy', join(ROOT, 'examples', 'web')]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

test('everybody in a room hears what anybody says, text and bytes', async () => {
  const [ada, bo, elsewhere] = [
    await webSocket(virga, 'web', '/chat?room=a', ['chat.v0', 'chat.v1']),
    await webSocket(virga, 'web', '/chat?room=a'),
    await webSocket(virga, 'web', '/chat?room=b'),
  ];
  assert.equal(ada.protocol, 'chat.v1');
  elsewhere.on('message', () => assert.fail('what is said in one room is heard in another'));
  const heard = [message(ada), message(bo)];
  ada.send('hello, Bo');
  assert.deepEqual((await Promise.all(heard)).map(String), ['hello, Bo', 'hello, Bo']);
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  const seen = message(ada);
  bo.send(bytes);
  assert.ok(bytes.equals(await seen));
  for (const socket of [ada, bo, elsewhere]) socket.close(4000, 'enough');
  assert.deepEqual(await Promise.all([ada, bo, elsewhere].map(closed)), [4000, 4000, 4000]);
  await logOf(virga, 'chat', 'web', /somebody left a with 4000/);
});

test('the access record of a connection has the status 101 and what went through', async () => {
  const socket = await webSocket(virga, 'web', '/chat?room=record');
  const heard = message(socket);
  socket.send('x'.repeat(1000));
  await heard;
  socket.close(1000);
  await closed(socket);
  const record = await eventually(async () => {
    const { stdout } = await virga.cli(['invocations', 'chat', '--project', 'web', '--json', '--limit', '50']);
    const invocations = JSON.parse(stdout) as { request: string; status: number; outcome: string; bytesIn: number; bytesOut: number }[];
    return invocations.find(({ bytesIn }) => bytesIn > 1000 && bytesIn < 1100);
  });
  assert.deepEqual([record.request, record.status, record.outcome], ['GET /chat', 101, 'ok']);
  assert.ok(record.bytesOut > 1000);
});

test('a client that goes without a word is noticed by the program', async () => {
  const socket = await webSocket(virga, 'web', '/chat?room=gone');
  socket.terminate();
  await logOf(virga, 'chat', 'web', /somebody left gone with 1006/);
});

test('fifty connections at once, each with its own answers', async () => {
  const sockets = await Promise.all(Array.from({ length: 50 }, (_, i) => webSocket(virga, 'web', `/chat?room=${i}`)));
  for (let round = 0; round < 5; round++) {
    const answers = sockets.map((socket) => message(socket));
    for (const [i, socket] of sockets.entries()) socket.send(`${round} of ${i}`);
    assert.deepEqual(
      (await Promise.all(answers)).map(String),
      sockets.map((_, i) => `${round} of ${i}`),
    );
  }
  for (const socket of sockets) socket.terminate();
});

test('a flood towards a client that does not read is held back, and arrives whole', async () => {
  const socket = await webSocket(virga, 'web', '/chat?room=flood');
  const piece = Buffer.alloc(1024 * 1024, 'f');
  socket.pause();
  for (let n = 0; n < 24; n++) socket.send(piece);
  await new Promise((resolve) => setTimeout(resolve, 500));
  let bytes = 0;
  const all = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      bytes += data.length;
      if (bytes === 24 * piece.length) resolve();
    });
  });
  socket.resume();
  await all;
  socket.close();
  await closed(socket);
});

test('a handshake that the program refuses is answered with what it said', async () => {
  const refused = await refusedHandshake(virga, 'web', '/express');
  assert.equal(refused.status, 200);
  assert.match(refused.text, /"hello":"world"/);
});

test('functions that are no programs refuse at once, with a reason', async () => {
  const manifest = `project: plain
functions:
  fetch: { source: fetch.mjs, http: /fetch }
  lambda: { source: lambda.mjs, form: lambda, handler: lambda.handler, http: /lambda }
  python: { source: main.py, http: /python }
`;
  await virga.deploy({
    'virga.yaml': manifest,
    'fetch.mjs': 'export default { fetch: () => new Response("plain") };',
    'lambda.mjs': 'export const handler = async () => "plain";',
    'main.py': 'def handler(event, context):\n    return "plain"\n',
  });
  for (const [name, runtime] of [
    ['fetch', 'nodejs26'],
    ['lambda', 'nodejs26'],
    ['python', 'python3'],
  ] as const) {
    const refused = await refusedHandshake(virga, 'plain', `/${name}`);
    assert.equal(refused.status, 501);
    assert.match(refused.text, /"code":"upgrade_not_supported"/);
    assert.match(refused.text, new RegExp(`'${name}' cannot take connections of the protocol 'websocket': its runtime is ${runtime}`));
  }
  assert.equal((await refusedHandshake(virga, 'plain', '/absent')).status, 404);
  assert.equal((await refusedHandshake(virga, 'absent', '/')).status, 404);
});

test('the timeout of the function ends a connection, and its instance goes on', async () => {
  const manifest = `project: short
functions:
  short: { source: server.mjs, runtime: web, timeout: 2s, http: / }
`;
  const server = `
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
const key = (request) => createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
createServer((request, response) => response.end(String(performance.timeOrigin))).on('upgrade', (request, socket) => {
  socket.on('error', () => {});
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: websocket\\r\\nsec-websocket-accept: ' + key(request) + '\\r\\n\\r\\n');
}).listen(process.env.PORT);
`;
  const deployed = await virga.deploy({ 'virga.yaml': manifest, 'server.mjs': server });
  assert.equal(deployed.code, 0, deployed.stderr);
  const instance = await (await virga.fetch('short', '/')).text();
  const began = performance.now();
  const socket = await webSocket(virga, 'short', '/');
  assert.equal(await closed(socket), 1006);
  const tookMs = performance.now() - began;
  assert.ok(tookMs > 1_800 && tookMs < 6_000, `it lasted ${tookMs} ms`);
  assert.equal(await (await virga.fetch('short', '/')).text(), instance);
});

test('a node that stops ends its connections and does not wait for them', async () => {
  const socket = await webSocket(virga, 'web', '/chat?room=last');
  const ended = closed(socket);
  const began = performance.now();
  await virga.stop();
  assert.equal(await ended, 1006);
  assert.ok(performance.now() - began < 15_000, 'the stop waited for the connection');
});
