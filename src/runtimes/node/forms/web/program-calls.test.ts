// HTTP calls to a program of node:http behind the real, bundled guest.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Call, ScriptedHost } from '../../scripted-host.ts';
import { programs, stop } from './programs-under-test.ts';
import type { Programs } from './programs-under-test.ts';

describe('a server of node:http', { concurrency: 1 }, () => {
  let host: ScriptedHost;
  let there: Programs;
  before(async () => {
    there = await programs();
    host = await there.boot('server.mjs');
  });
  after(async () => {
    await stop(host);
    await there[Symbol.asyncDispose]();
  });
  const get = (path: string): Promise<Call> => host.http(path).ended;

  test('a small answer is one frame', async () => {
    const call = await get('/hello');
    assert.equal(call.text, 'hello');
    assert.equal(call.meta!.status, 200);
    assert.equal(call.frameCount, 1);
    assert.deepEqual(call.header('content-length'), ['5']);
    assert.deepEqual(call.header('connection'), []);
  });

  test('the program sees the request as the client made it', async () => {
    const headers = ['host', 'tour.localhost:8080', 'x-twice', 'a', 'x-twice', 'b', 'x-latin', 'caf\u00e9', 'content-length', '4'];
    const call = await host.http('/request?a=1&b=%20c', { method: 'PUT', headers }, { body: 'body' }).ended;
    const { method, url, headers: seen, body } = JSON.parse(call.text) as Record<string, unknown>;
    assert.deepEqual([method, url, body], ['PUT', '/request?a=1&b=%20c', 'body']);
    assert.deepEqual(seen, headers);
  });

  test("its environment is Cloud Run's, with the function's own", async () => {
    const environment = JSON.parse((await get('/environment')).text) as Record<string, string>;
    const { K_SERVICE, K_REVISION, K_CONFIGURATION, GREETING, PORT, cwd } = environment;
    assert.deepEqual([K_SERVICE, K_REVISION, K_CONFIGURATION, GREETING], ['hello', 'hello-00003', 'hello', 'hi']);
    assert.match(PORT!, /^\d+$/);
    assert.equal(cwd, there.code);
  });

  test('connections are kept and used again', async () => {
    const opened = Number((await get('/connections')).text);
    for (let n = 0; n < 5; n++) await get('/hello');
    assert.equal(Number((await get('/connections')).text), opened);
  });

  test('many calls at once are answered each with its own answer', async () => {
    const calls = Array.from({ length: 64 }, (_, i) => host.http('/echo', { method: 'POST', headers: [] }, { body: `body ${i}` }).ended);
    for (const [i, call] of (await Promise.all(calls)).entries()) assert.equal(call.text, `body ${i}`);
  });

  test('a body of unknown length streams through in both directions at once', async () => {
    const call = host.http('/echo', { method: 'POST', headers: ['content-type', 'text/plain'] }, { streamed: true });
    call.send('first');
    await call.until(() => call.text === 'first');
    call.send(' second', false);
    await call.until(() => call.text === 'first second');
    call.send('', true);
    await call.ended;
  });

  test('a large body comes back whole, under credit', async () => {
    const call = host.http('/echo', { method: 'POST', headers: [] }, { streamed: true });
    const piece = Buffer.alloc(64 * 1024, 'y');
    for (let n = 0; n < 64; n++) {
      await call.until(() => call.credit >= piece.length);
      call.send(piece, n === 63);
    }
    await call.ended;
    assert.equal(call.bodyBytes, 4 * 1024 * 1024);
  });

  test('a client that reads slowly holds the program back', async () => {
    const call = host.http('/much', {}, { slow: true });
    await call.until(() => call.bodyBytes >= 256 * 1024);
    await new Promise((resolve) => setTimeout(resolve, 100));
    // What the sockets between take, and no more.
    assert.ok(Number((await get('/written')).text) < 512, 'the program wrote all though nobody read');
    assert.equal(call.bodyBytes, 256 * 1024);
    for (let n = 0; n < 128; n++) call.grant(256 * 1024);
    await call.ended;
    assert.equal(call.bodyBytes, 32 * 1024 * 1024);
  });

  test('answers without a body keep their headers', async () => {
    const head = await host.http('/head', { method: 'HEAD' }).ended;
    assert.deepEqual([head.text, head.header('content-length'), head.header('x-own')], ['', ['1234'], ['a']]);
    const nothing = await get('/nothing');
    assert.deepEqual([nothing.meta!.status, nothing.header('x-own')], [204, ['b']]);
    assert.deepEqual((await get('/unmodified')).header('etag'), ['"1"']);
    assert.equal((await get('/hello')).text, 'hello');
  });

  test('informational responses are passed over', async () => {
    const call = await get('/hints');
    assert.deepEqual([call.meta!.status, call.text], [200, 'after']);
  });

  test('status and headers arrive as they were, without those of the connection and without trailers', async () => {
    const call = await get('/headers');
    assert.deepEqual([call.meta!.status, call.text], [418, 'ab']);
    assert.deepEqual(call.header('set-cookie'), ['a=1', 'b=2']);
    assert.deepEqual(call.header('x-latin'), ['caf\u00e9']);
    for (const name of ['trailer', 'x-late', 'transfer-encoding', 'connection', 'keep-alive'])
      assert.deepEqual(call.header(name), [], name);
  });

  test('the program hears that the client left', async () => {
    const call = host.http('/slow');
    await call.until(() => call.text === 'begun');
    call.cancel();
    await host.log(({ text }) => text === 'left');
    await call.ended;
    assert.equal(call.error!.name, 'AbortError');
  });

  test('an answer that comes before the end of the request is the answer', async () => {
    const call = host.http('/early', { method: 'POST', headers: [] }, { streamed: true });
    call.send('some');
    await call.ended;
    assert.equal(call.text, 'enough');
    assert.equal((await get('/hello')).text, 'hello');
  });

  test('what it writes are log lines of the call that runs', async () => {
    const call = host.http('/log');
    await call.ended;
    assert.equal((await host.log(({ text }) => text === 'to stdout')).level, 'info');
    assert.equal((await host.log(({ text }) => text === 'to stderr')).level, 'error');
    await host.log(({ text }) => text === 'half line');
    const lines = host.logs.filter(({ text }) => /^to std|^half line$/.test(text));
    assert.deepEqual([...new Set(lines.map(({ stream }) => stream))], [call.stream]);
  });
});
