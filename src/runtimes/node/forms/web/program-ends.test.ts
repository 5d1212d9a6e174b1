// Events to a program, and what a program's end means, behind the real, bundled guest.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { FrameType, encodeFrame } from '../../../../protocol/frames.ts';
import type { ScriptedHost } from '../../scripted-host.ts';
import { programs, stop } from './programs-under-test.ts';
import type { Programs } from './programs-under-test.ts';

let there: Programs;
before(async () => (there = await programs()));
after(() => there[Symbol.asyncDispose]());

describe('events', { concurrency: 1 }, () => {
  let host: ScriptedHost;
  before(async () => (host = await there.boot('server.mjs')));
  after(() => stop(host));

  test('a CloudEvent is posted in binary mode, and its 2xx answer is the result', async () => {
    const event = {
      specversion: '1.0',
      id: 'a 1',
      source: '/é',
      type: 'x.y',
      subject: '100%',
      time: '2026-01-01T00:00:00Z',
      ext: 7,
      data: { a: [1] },
    };
    const call = await host.event(event, { contentType: 'application/cloudevents+json; charset=utf-8' }).ended;
    assert.equal(call.meta!.status, 200);
    const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
    assert.equal(body, '{"a":[1]}');
    assert.deepEqual(
      Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('ce-') || name === 'content-type' || name === 'host')),
      {
        'ce-specversion': '1.0',
        'ce-id': 'a%201',
        'ce-source': '/%C3%A9',
        'ce-type': 'x.y',
        'ce-subject': '100%25',
        'ce-time': '2026-01-01T00:00:00Z',
        'ce-ext': '7',
        'content-type': 'application/json',
        host: 'hello.internal',
      },
    );
  });

  test('data in base64 and data that is text are posted as what they are', async () => {
    const base = { specversion: '1.0', id: '1', source: '/', type: 't' };
    const of = async (event: object): Promise<string[]> => {
      const call = await host.event({ ...base, ...event }, { contentType: 'application/cloudevents+json' }).ended;
      const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
      return [headers['content-type'] ?? '', body];
    };
    assert.deepEqual(await of({ datacontenttype: 'text/plain', data: 'as it is' }), ['text/plain', 'as it is']);
    assert.deepEqual(await of({ datacontenttype: 'text/plain', data_base64: 'aGk=' }), ['text/plain', 'hi']);
    assert.deepEqual(await of({ data: 'quoted' }), ['application/json', '"quoted"']);
    assert.deepEqual(await of({}), ['', '']);
  });

  test('what comes with an event ends no line of the head that it becomes', async () => {
    const odd = 'text/plain\u010d\u010ax-smuggled: 1\r\nx-more: 2';
    const event = { specversion: '1.0', id: '1\r\nx-id: 3', source: '/', type: 't', datacontenttype: odd, data: 'a' };
    const call = await host.event(event, { contentType: 'application/cloudevents+json' }).ended;
    const { headers } = JSON.parse(call.text) as { headers: Record<string, string> };
    assert.deepEqual([headers['x-smuggled'], headers['x-more'], headers['x-id']], [undefined, undefined, undefined]);
    assert.equal(headers['content-type'], 'text/plainx-smuggled: 1x-more: 2');
    assert.equal(headers['ce-id'], '1%0D%0Ax-id:%203');
  });

  test('any other payload is posted as it is', async () => {
    const call = await host.event('a,b', { contentType: 'text/csv' }).ended;
    const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
    assert.deepEqual([headers['content-type'], body, headers['ce-id']], ['text/csv', 'a,b', undefined]);
  });

  test('an event that is refused is an error that names the status', async () => {
    const base = { specversion: '1.0', id: '1', source: '/' };
    const refused = await host.event({ ...base, type: 'x.refused' }, { contentType: 'application/cloudevents+json' }).ended;
    assert.equal(refused.error!.message, 'the program answered the event with status 500');
    assert.equal(refused.error!.stack, 'EventRefused: the program answered the event with status 500: no such thing');
    const silent = await host.event({ ...base, type: 'x.silent' }, { contentType: 'application/cloudevents+json' }).ended;
    assert.deepEqual([silent.meta!.status, silent.text], [200, '']);
  });
});

test('a program that ends in a call takes its instance along, with its code', async () => {
  const host = await there.boot('server.mjs');
  host.http('/crash');
  assert.deepEqual(await host.exited, { code: 3, signal: null });
  assert.deepEqual(
    host.logs.map(({ text }) => text),
    ['something broke', 'the program exited with code 3; the instance ends'],
  );
});

test('a program that a signal ends is told as a shell does', async () => {
  const host = await there.boot('server.mjs');
  host.http('/killed');
  assert.equal((await host.exited).code, 128 + 11);
});

test('the program hears SIGTERM before the end, and has time for it', async () => {
  const host = await there.boot('server.mjs');
  assert.equal((await host.http('/hello').ended).text, 'hello');
  host.write(encodeFrame(FrameType.STOP, {}));
  assert.deepEqual(await host.exited, { code: 0, signal: null });
  assert.deepEqual(
    host.logs.map(({ text }) => text),
    ['told to stop', 'closed'],
  );
});

test('a program that listens on ::1 alone is found there', async () => {
  const host = await there.boot('six.mjs');
  assert.equal((await host.http('/').ended).text, 'six');
  await stop(host);
});

test('a Python program finds the packages of requirements.txt, and its lines come at once', async () => {
  const host = await there.boot('packaged.py');
  const call = await host.http('/a').ended;
  assert.equal(call.text, 'carried');
  assert.equal((await host.log(({ text }) => text === 'asked for /a')).stream, call.stream);
  await stop(host);
});

test('a program that ends before it listens is a load error with its code and last words', async () => {
  await assert.rejects(
    there.boot('ends.mjs'),
    /the program '.*ends\.mjs' exited with code 7 before it listened on port \d+, the value of PORT\. It wrote last:\non stdout\ncannot find the settings/,
  );
});

test('a program that does not listen on PORT is a load error that names it', async () => {
  await assert.rejects(
    there.boot('elsewhere.mjs', { loadTimeoutMs: 1_500 }),
    /nothing accepts connections on port \d+: it must listen on the port that the environment variable PORT names.* It wrote last:\nlistening somewhere/,
  );
});

test('what cannot be started is a load error that says why', async () => {
  await assert.rejects(there.boot('plain.txt'), /'plain\.txt' is not executable/);
  await assert.rejects(there.boot('absent.mjs'), /there is no file 'absent\.mjs' in the function's code; set `command`/);
  await assert.rejects(there.boot('x', { command: ['no-such-program'] }), /'no-such-program' cannot be started: ENOENT/);
  await assert.rejects(
    there.boot('x', { command: ['/bin/sh', '-c', 'exec no-such-program'] }),
    /exited with code 127 .*a command that is not found/,
  );
  await assert.rejects(there.boot('server.mjs', { env: { PORT: 'http' } }), /PORT is 'http' in its environment; it must be a number/);
});
