// A program that answers as node:http would not: heads cut anywhere, connections that break, other protocols.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Call, ScriptedHost } from '../../scripted-host.ts';
import { NODE, programs, stop } from './programs-under-test.ts';
import type { Programs } from './programs-under-test.ts';

describe('a server of raw sockets', { concurrency: 1 }, () => {
  let host: ScriptedHost;
  let there: Programs;
  before(async () => {
    there = await programs();
    host = await there.boot('raw.mjs', { command: [NODE.binary, 'raw.mjs'] });
  });
  after(async () => {
    await stop(host);
    await there[Symbol.asyncDispose]();
  });
  const get = (path: string, method = 'GET'): Promise<Call> => host.http(path, { method }).ended;

  for (const [name, text] of Object.entries({
    split: 'hello',
    chunks: 'abcde',
    close: 'until the end',
    old: 'old',
    both: 'x',
    beyond: 'ok',
    folded: '',
  })) {
    test(`an answer is read however it comes: ${name}`, async () => {
      const call = await get(`/${name}`);
      assert.deepEqual([call.error, call.meta?.status, call.text], [undefined, 200, text]);
      if (name === 'folded') assert.deepEqual(call.header('x-long'), ['a b']);
    });
  }

  for (const [name, message] of Object.entries({
    short: /ended the connection in the middle of its answer/,
    silent: /ended the connection before it had answered/,
    junk: /begins with '220 mail\.example\.com ESMTP', which is no HTTP\/1 response/,
    lengths: /two lengths, 1 and 2/,
    switches: /switches to another protocol \(101\)/,
  })) {
    test(`what is no answer is an error that says so: ${name}`, async () => {
      const call = await get(`/${name}`);
      assert.equal(call.error?.name, 'BadResponse');
      assert.match(call.error.message, message);
    });
  }

  test('a request that an idle connection lost is made again, if it may be', async () => {
    assert.equal((await get('/first')).text, 'ok');
    assert.equal((await get('/stale')).text, 'ok');
    assert.equal((await get('/first')).text, 'ok');
    assert.match((await get('/stale', 'POST')).error!.message, /before it had answered/);
  });

  test('a connection that is upgraded carries bytes both ways until the client ends it', async () => {
    const call = host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'echo'] }, { streamed: true });
    const { status, headers } = await call.head;
    assert.equal(status, 101);
    assert.deepEqual(headers, ['Connection', 'Upgrade', 'Upgrade', 'echo']);
    await call.until(() => call.text === 'ready');
    call.send(' steady');
    await call.until(() => call.text === 'ready steady');
    call.send(' go');
    await call.until(() => call.text === 'ready steady go');
    call.send('', true);
    await call.ended;
    assert.equal(call.error, undefined);
  });

  test('an upgrade that is refused is answered as any request', async () => {
    const call = await host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'other'] }, { streamed: true })
      .ended;
    assert.equal(call.meta!.status, 426);
  });

  test('a client that leaves an upgraded connection ends it', async () => {
    const call = host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'echo'] }, { streamed: true });
    await call.until(() => call.text === 'ready');
    call.cancel();
    await call.ended;
    assert.equal(call.error!.name, 'AbortError');
  });
});
