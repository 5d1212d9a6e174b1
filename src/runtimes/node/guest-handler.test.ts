// Black box: handler-style functions (plain events, AWS API Gateway's events and results, callbacks) in the real guest.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { NODES, ScriptedHost } from './scripted-host.ts';

const FUNCTION = `
const cycle = {}; cycle.self = cycle;
const results = {
  response: { statusCode: 201, headers: { 'x-a': 'b', 'x-n': 7, 'x-list': ['1', '2'] }, cookies: ['a=1; Path=/', 'b=2'], body: 'made' },
  typed: { statusCode: 200, headers: { 'Content-Type': 'text/html' }, body: '<p>' },
  base64: { statusCode: '200', body: Buffer.from([0, 255, 128]).toString('base64'), isBase64Encoded: true },
  empty: { statusCode: 204 }, object: { a: 1 }, string: 'plain', number: 7, nothing: undefined, null: null,
  status: { statusCode: 99 }, word: { statusCode: 'fine' }, body: { statusCode: 200, body: { a: 1 } },
  headers: { statusCode: 200, headers: 'x' }, name: { statusCode: 200, headers: { 'a b': '1' } }, value: { statusCode: 200, headers: { a: 'b\\r\\nc: d' } },
  cookies: { statusCode: 200, cookies: 'a=1' }, cycle, bigint: { n: 1n }, function: () => {},
};
export const handler = async (event, context) => {
  if (event.version !== '2.0') {
    if (event.fail) throw new RangeError('asked to');
    if (event.result) return results[event.result];
    return { event: event instanceof Uint8Array ? [...event] : event, id: context.invocationId };
  }
  const name = event.rawPath.slice(1);
  return name === 'event' ? event : results[name];
};
`;
const CALLBACKS = `
exports.handler = (event, context, callback) => {
  if (event.error) return void setTimeout(() => callback(new Error('by callback')), 1);
  if (event.text) return void callback('only text');
  if (event.promise) return Promise.resolve('by promise');
  setTimeout(() => callback(null, { late: true }), 1);
};
exports.sync = (event) => ({ sync: event });
exports.early = function (event) { arguments[2](null, 'early'); };
`;

describe('handler-style functions', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-handler-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'handler.mjs'), FUNCTION);
    await writeFile(join(folder, 'callbacks.cjs'), CALLBACKS);
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 1 }, () => {
      let host: ScriptedHost;
      before(async () => {
        host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        assert.deepEqual((await host.init(folder, 'handler.mjs')).exports, ['handler']);
      });
      after(() => host.close());
      const get = (path: string) => host.http(path).ended;

      test('an event is given as its JSON, text or bytes, and the result is JSON', async () => {
        const call = host.event({ a: [1, 'ü'] });
        assert.deepEqual(JSON.parse((await call.ended).text), { event: { a: [1, 'ü'] }, id: `inv_${call.stream}` });
        assert.deepEqual(call.meta, { status: 200, headers: ['content-type', 'application/json'] });
        assert.deepEqual(JSON.parse((await host.event('', {}).ended).text).event, {});
        assert.equal(JSON.parse((await host.event('some text', { contentType: 'text/plain' }).ended).text).event, 'some text');
        assert.deepEqual(JSON.parse((await host.event(Buffer.from([0, 255]), { contentType: 'image/png' }).ended).text).event, [0, 255]);
        assert.equal((await host.event({ result: 'nothing' }).ended).text, 'null');
        assert.match((await host.event('{').ended).error!.message, /the payload is not valid JSON/);
      });

      test('a large result goes in chunks', async () => {
        const payload = { text: 'x'.repeat(300_000) };
        const call = host.event('', {}, { streamed: true });
        const bytes = Buffer.from(JSON.stringify(payload));
        for (let at = 0; at < bytes.length; at += 65_536) {
          await call.until(() => call.credit >= 65_536);
          call.send(bytes.subarray(at, at + 65_536), at + 65_536 >= bytes.length);
        }
        assert.deepEqual(JSON.parse((await call.ended).text).event, payload);
        assert.ok(call.frameCount > 4);
      });

      test('what a handler throws, and what cannot be JSON, is an error that says so', async () => {
        const { error } = await host.event({ fail: true }).ended;
        assert.deepEqual([error!.name, error!.message], ['RangeError', 'asked to']);
        assert.match(error!.stack, /handler\.mjs:\d+/);
        for (const [result, message] of [
          ['cycle', /cannot be sent as JSON: .*circular/i],
          ['bigint', /cannot be sent as JSON: .*BigInt/],
          ['function', /is a function, which JSON cannot hold/],
        ] as const) {
          const refused = (await host.event({ result }).ended).error!;
          assert.equal(refused.name, 'BadResponse');
          assert.match(refused.message, message);
        }
      });

      test('an HTTP request is an API Gateway event of format 2.0', async () => {
        const headers = [
          'Host',
          'tour.localhost:8080',
          'Accept',
          'a',
          'ACCEPT',
          'b',
          'Cookie',
          'x=1; y=2',
          'User-Agent',
          'test',
          'Content-Type',
          'application/json',
        ];
        const call = host.http(
          '/event?q=1&q=2&r=%20',
          { method: 'POST', headers, route: '/{name}', params: { name: 'event' } },
          { body: '{"ü":1}' },
        );
        const event = JSON.parse((await call.ended).text);
        const { time, timeEpoch, ...requestContext } = event.requestContext;
        assert.match(time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
        assert.ok(Math.abs(timeEpoch - Date.now()) < 60_000);
        assert.deepEqual(
          { ...event, requestContext },
          {
            version: '2.0',
            routeKey: 'POST /{name}',
            rawPath: '/event',
            rawQueryString: 'q=1&q=2&r=%20',
            cookies: ['x=1', 'y=2'],
            headers: { host: 'tour.localhost:8080', accept: 'a,b', 'user-agent': 'test', 'content-type': 'application/json' },
            queryStringParameters: { q: '1,2', r: ' ' },
            pathParameters: { name: 'event' },
            requestContext: {
              accountId: 'anonymous',
              apiId: 'tour',
              domainName: 'tour.localhost',
              domainPrefix: 'tour',
              http: { method: 'POST', path: '/event', protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
              requestId: `inv_${call.stream}`,
              routeKey: 'POST /{name}',
              stage: '$default',
            },
            body: '{"ü":1}',
            isBase64Encoded: false,
          },
        );
      });

      test('a body that is not text is base64 in the event', async () => {
        for (const [type, body, encoded] of [
          ['image/png', Buffer.from([1, 2]), true],
          ['text/plain', Buffer.from([0xff, 0xfe]), true],
          ['application/x-www-form-urlencoded', Buffer.from('a=1'), false],
        ] as const) {
          const event = JSON.parse((await host.http('/event', { method: 'POST', headers: ['content-type', type] }, { body }).ended).text);
          assert.equal(event.isBase64Encoded, encoded, type);
          assert.deepEqual(Buffer.from(event.body, encoded ? 'base64' : 'utf8'), body);
        }
        assert.equal('body' in JSON.parse((await get('/event')).text), false);
      });

      test('a result with a statusCode is the response', async () => {
        const call = await get('/response');
        assert.deepEqual([call.meta!.status, call.text], [201, 'made']);
        assert.deepEqual(call.meta!.headers, [
          'x-a',
          'b',
          'x-n',
          '7',
          'x-list',
          '1',
          'x-list',
          '2',
          'set-cookie',
          'a=1; Path=/',
          'set-cookie',
          'b=2',
          'content-type',
          'text/plain;charset=UTF-8',
        ]);
        assert.deepEqual((await get('/typed')).header('content-type'), ['text/html']);
        assert.deepEqual((await get('/base64')).body, Buffer.from([0, 255, 128]));
        assert.deepEqual([(await get('/empty')).meta!.status, (await get('/empty')).bodyBytes], [204, 0]);
        const head = await host.http('/response', { method: 'HEAD' }).ended;
        assert.deepEqual([head.meta!.status, head.bodyBytes], [201, 0]);
      });

      test('a result without a statusCode is the body of a 200', async () => {
        for (const [path, body] of [
          ['/object', '{"a":1}'],
          ['/string', 'plain'],
          ['/number', '7'],
          ['/nothing', 'null'],
          ['/null', 'null'],
        ] as const) {
          const call = await get(path);
          assert.deepEqual([call.meta!.status, call.text, call.header('content-type')], [200, body, ['application/json']], path);
        }
      });

      test('a result that is no response names the part', async () => {
        const refusals: [string, RegExp][] = [
          ['/status', /statusCode is 99; it must be a whole number from 200 to 599/],
          ['/word', /statusCode is 'fine'/],
          ['/body', /body is an object; it must be a string: use JSON\.stringify/],
          ['/headers', /headers are 'x'/],
          ['/name', /the name 'a b', which HTTP does not allow/],
          ['/value', /header 'a' is 'b\r\nc: d', which HTTP does not allow/],
          ['/cookies', /cookies are 'a=1'; they must be an array/],
          ['/cycle', /circular/i],
        ];
        for (const [path, message] of refusals) {
          const { error } = await get(path);
          assert.equal(error!.name, 'BadResponse', path);
          assert.match(error!.message, message);
        }
      });

      test('the older forms answer by callback, promise or value', async () => {
        await using other = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await other.init(folder, 'callbacks.cjs');
        assert.equal((await other.event({}).ended).text, '{"late":true}');
        assert.equal((await other.event({ promise: true }).ended).text, '"by promise"');
        assert.equal((await other.event({ error: true }).ended).error!.message, 'by callback');
        assert.equal((await other.event({ text: true }).ended).error!.message, 'only text');
        await other.close();
        for (const [handler, text] of [
          ['callbacks.cjs#sync', '{"sync":{"a":1}}'],
          ['callbacks.cjs#early', '"early"'],
        ] as const) {
          await using third = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          await third.init(folder, handler);
          assert.equal((await third.event({ a: 1 }).ended).text, text);
          await third.close();
        }
      });
    });
  }
});
