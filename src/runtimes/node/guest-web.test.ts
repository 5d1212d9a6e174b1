// Black box: web-style functions in the real, bundled guest, on each Node that it must run on.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { NODES, ScriptedHost } from './scripted-host.ts';

const FUNCTION = `
let calls = 0;
const bytes = new Uint8Array(256).map((_, i) => i);
export default {
  name: 'site',
  async fetch(request, context) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case '/hello': return new Response('hello');
      case '/this': return new Response(this.name);
      case '/count': return new Response(String(++calls));
      case '/echo': return new Response(await request.bytes(), { headers: { 'content-type': request.headers.get('content-type') } });
      case '/form': { const form = await request.formData(); return Response.json([form.get('name'), await form.get('file').text(), form.get('file').name]); }
      case '/request': {
        const copy = request.clone();
        const derived = new Request(request, { headers: { extra: '1' } });
        return Response.json({
          isRequest: request instanceof Request && request.constructor === Request, method: request.method, url: request.url, headers: [...request.headers],
          body: request.body instanceof ReadableStream, cloned: await copy.text(), derived: [derived.headers.get('extra'), await derived.text()],
          signal: request.signal instanceof AbortSignal && request.signal === context.signal, used: request.bodyUsed,
        });
      }
      case '/context': {
        const { signal } = context;
        return Response.json({ ...context, principal: [context.principal, context.principal === context.principal], remaining: context.remainingMs() > 1000, lambda: [context.awsRequestId, context.getRemainingTimeInMillis() > 1000],
          deadline: context.deadline instanceof Date && context.deadline.getTime() > Date.now(), aborted: signal.aborted, env: process.env.GREETING, cwd: process.cwd() });
      }
      case '/headers': { const headers = new Headers({ 'x-latin': 'caf\\u00e9' }); headers.append('set-cookie', 'a=1; Path=/'); headers.append('set-cookie', 'b=2'); headers.append('vary', 'a'); headers.append('vary', 'b');
        return new Response('x', { status: 201, headers }); }
      case '/length': return new Response('hello', { headers: { 'content-length': '3' } });
      case '/length-word': return new Response('hello', { headers: { 'content-length': 'many' } });
      case '/binary': return new Response(bytes);
      case '/nothing': return new Response(null, { status: 204 });
      case '/unmodified': return new Response(null, { status: 304, headers: { etag: '"1"' } });
      case '/json': return Response.json({ a: 1 });
      case '/redirect': return Response.redirect('http://example.com/', 302);
      case '/throw': throw new TypeError('no such note', { cause: new Error('disk') });
      case '/throw-string': throw 'plain text';
      case '/string': return 'hello';
      case '/undefined': return;
      case '/error-response': return Response.error();
      case '/used': { const response = new Response('x'); await response.text(); return response; }
      case '/text-chunks': return new Response(new ReadableStream({ start(controller) { controller.enqueue('text'); controller.close(); } }));
      case '/foreign': return { status: 200, headers: new Map([['x-own', '1']]), body: (async function* () { yield Buffer.from('a'); yield Buffer.from('b'); })() };
      case '/huge-header': return new Response('x', { headers: { big: 'x'.repeat(1100000) } });
      case '/wait': { await new Promise((resolve) => request.signal.addEventListener('abort', resolve)); console.log('aborted: ' + request.signal.reason.name); return new Response('late'); }
      case '/derived': { const derived = new Request(request); console.log('deriving'); await new Promise((resolve) => derived.signal.addEventListener('abort', resolve)); console.log('derived aborted'); return new Response('late'); }
      case '/later': { context.waitUntil((async () => { await new Promise((resolve) => setTimeout(resolve, 20)); console.log('later'); })()); return new Response('now'); }
      case '/later-fails': { context.waitUntil(Promise.reject(new Error('in vain'))); return new Response('now'); }
    }
    return new Response(null, { status: 404 });
  },
};
`;

describe('web-style functions', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-web-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'site.mjs'), FUNCTION);
    await writeFile(
      join(folder, 'both.mjs'),
      'export default { fetch: async (request) => Response.json([request.method, request.url, await request.json()]), event: (payload) => ({ got: payload }) };',
    );
    await writeFile(
      join(folder, 'posted.mjs'),
      'export default { fetch: async (request) => Response.json([request.method, request.url, await request.json()], { status: 202 }) };',
    );
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 1 }, () => {
      let host: ScriptedHost;
      before(async () => {
        host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        const hello = await host.hello();
        assert.equal(hello.runtime, 'nodejs-test');
        assert.match(hello.runtimeVersion, /^v2[46]\./);
        assert.ok(hello.bootMs > 0);
        const ready = await host.init(folder, 'site.mjs');
        assert.deepEqual(ready.exports, ['fetch']);
        assert.ok(ready.loadMs >= 0 && ready.initMs > 0);
      });
      after(() => host.close());
      const get = (path: string) => host.http(path).ended;

      test('a small answer leaves as one frame with the time of the handler', async () => {
        const call = await get('/hello');
        assert.equal(call.text, 'hello');
        assert.equal(call.meta!.status, 200);
        assert.deepEqual(call.header('content-type'), ['text/plain;charset=UTF-8']);
        assert.equal(call.frameCount, 1);
        assert.ok(call.handlerUs > 0 && call.handlerUs < 1e6);
      });

      test('the state of a module survives between calls, and `this` is the exported object', async () => {
        assert.equal((await get('/count')).text, '1');
        assert.equal((await get('/count')).text, '2');
        assert.equal((await get('/this')).text, 'site');
      });

      test('many calls at once are answered each with its own answer', async () => {
        const calls = await Promise.all(
          Array.from(
            { length: 64 },
            (_, i) => host.http('/echo', { method: 'POST', headers: ['Content-Type', `text/n${i}`] }, { body: `body ${i}` }).ended,
          ),
        );
        for (const [i, call] of calls.entries()) {
          assert.equal(call.text, `body ${i}`);
          assert.deepEqual(call.header('content-type'), [`text/n${i}`]);
        }
      });

      test('the request is a standard Request in every respect', async () => {
        const headers = [
          'Host',
          'tour.localhost:8080',
          'Accept',
          'a',
          'accept',
          'b',
          'Cookie',
          'x=1',
          'cookie',
          'y=2',
          'X-Latin',
          'caf\u00e9',
          '__proto__',
          'p',
        ];
        const call = await host.http('/request?q=%20', { method: 'PUT', headers }, { body: 'content' }).ended;
        assert.deepEqual(JSON.parse(call.text), {
          isRequest: true,
          method: 'PUT',
          url: 'http://tour.localhost:8080/request?q=%20',
          headers: [
            ['__proto__', 'p'],
            ['accept', 'a, b'],
            ['cookie', 'x=1; y=2'],
            ['host', 'tour.localhost:8080'],
            ['x-latin', 'caf\u00e9'],
          ],
          body: true,
          cloned: 'content',
          derived: ['1', 'content'],
          signal: true,
          used: true,
        });
      });

      test('bytes pass unharmed both ways, and a multipart form is read', async () => {
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
        assert.deepEqual((await get('/binary')).body, bytes);
        assert.deepEqual(
          (await host.http('/echo', { method: 'POST', headers: ['content-type', 'a/b'] }, { body: bytes }).ended).body,
          bytes,
        );
        const body =
          '--b\r\ncontent-disposition: form-data; name="name"\r\n\r\nfirst\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\ncontent-type: text/plain\r\n\r\nsecond\r\n--b--\r\n';
        const call = await host.http('/form', { method: 'POST', headers: ['content-type', 'multipart/form-data; boundary=b'] }, { body })
          .ended;
        assert.deepEqual(JSON.parse(call.text), ['first', 'second', 'a.txt']);
      });

      test('the context tells who runs, and until when', async () => {
        const principal = { kind: 'jwt', id: 'ada', scopes: ['read'], claims: { sub: 'ada' } };
        const call = host.http('/context', { params: { id: '7' }, principal: JSON.stringify(principal) });
        assert.deepEqual(JSON.parse((await call.ended).text), {
          invocationId: `inv_${call.stream}`,
          traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
          project: 'tour',
          function: 'hello',
          version: 3,
          params: { id: '7' },
          principal: [principal, true],
          remaining: true,
          lambda: [`inv_${call.stream}`, true],
          deadline: true,
          aborted: false,
          env: 'hi',
          cwd: folder,
        });
      });

      test('each cookie stays a header of its own, and a Latin-1 value is kept', async () => {
        const call = await get('/headers');
        assert.equal(call.meta!.status, 201);
        assert.deepEqual(call.header('set-cookie'), ['a=1; Path=/', 'b=2']);
        assert.deepEqual(call.header('vary'), ['a, b']);
        assert.deepEqual(call.header('x-latin'), ['caf\u00e9']);
      });

      test('a wrong content-length of a known body is dropped, one that is no number is refused', async () => {
        const call = await get('/length');
        assert.deepEqual([call.text, call.header('content-length')], ['hello', []]);
        assert.match((await get('/length-word')).error!.message, /content-length 'many' is not a number/);
      });

      test('HEAD, 204 and 304 have no body', async () => {
        const head = await host.http('/length', { method: 'HEAD' }).ended;
        assert.deepEqual([head.bodyBytes, head.meta!.status, head.header('content-length')], [0, 200, ['3']]);
        assert.deepEqual([(await get('/nothing')).meta!.status, (await get('/nothing')).bodyBytes], [204, 0]);
        const unmodified = await get('/unmodified');
        assert.deepEqual([unmodified.meta!.status, unmodified.header('etag')], [304, ['"1"']]);
      });

      test('the other makers of responses work, and so does a Response of another implementation', async () => {
        assert.equal((await get('/json')).text, '{"a":1}');
        assert.deepEqual(
          [(await get('/redirect')).meta!.status, (await get('/redirect')).header('location')],
          [302, ['http://example.com/']],
        );
        const foreign = await get('/foreign');
        assert.deepEqual([foreign.text, foreign.header('x-own')], ['ab', ['1']]);
        assert.equal((await get('/absent')).meta!.status, 404);
      });

      test("a thrown error is answered with name, message and a stack of the user's frames and causes", async () => {
        const { error } = await get('/throw');
        assert.deepEqual([error!.name, error!.message], ['TypeError', 'no such note']);
        assert.match(error!.stack, /TypeError: no such note\n\s+at .*site\.mjs:\d+:\d+/);
        assert.match(error!.stack, /cause.*Error: disk/);
        assert.doesNotMatch(error!.stack, /guest\.cjs/);
        assert.match((await get('/throw-string')).error!.message, /no Error was thrown: 'plain text'/);
      });

      test('what is no response is refused with what it was', async () => {
        const refusals: [string, RegExp][] = [
          ['/string', /fetch\(\) returned a string; it must return a Response/],
          ['/undefined', /fetch\(\) returned undefined/],
          ['/error-response', /status 0/],
          ['/used', /read already/],
          ['/text-chunks', /gave a string; its chunks must be Uint8Array/],
          ['/huge-header', /headers have \d+ bytes; at most/],
        ];
        for (const [path, message] of refusals) {
          const { error } = await get(path);
          assert.equal(error!.name, 'BadResponse', path);
          assert.match(error!.message, message);
        }
      });

      test('a cancelled call aborts the signal, also of derived Requests, and ends its stream once the handler has settled', async () => {
        const call = host.http('/wait');
        call.cancel();
        const { error, meta } = await call.ended;
        assert.deepEqual([error!.name, meta], ['AbortError', undefined]);
        assert.equal((await host.log((record) => record.stream === call.stream)).text, 'aborted: AbortError');
        const derived = host.http('/derived');
        await host.log((record) => record.text === 'deriving');
        derived.cancel();
        await derived.ended;
        await host.log((record) => record.text === 'derived aborted');
      });

      test('the signal aborts at the deadline', async () => {
        const call = host.http('/wait', {}, { timeoutMs: 30 });
        assert.equal((await call.ended).text, 'late');
        assert.equal((await host.log((record) => record.stream === call.stream)).text, 'aborted: TimeoutError');
      });

      test('work given to waitUntil goes on after the answer, and its failure is logged', async () => {
        assert.equal((await get('/later')).text, 'now');
        await host.log((record) => record.text === 'later');
        await get('/later-fails');
        assert.match((await host.log((record) => record.level === 'error')).text, /waitUntil was rejected: Error: in vain/);
      });

      test('the highest memory is reported', async () => {
        await get('/hello');
        assert.ok(host.peakKib > 20_000 && host.peakKib < 500_000, String(host.peakKib));
      });

      test('frames of streams that are not there are ignored', async () => {
        const gone = await get('/hello');
        gone.cancel();
        gone.grant(1000);
        gone.send('late', true);
        assert.equal((await get('/hello')).text, 'hello');
      });

      test('an event goes to `event`, or as a POST to `fetch`', async () => {
        for (const [file, expected, status] of [
          ['both.mjs', { got: { a: 1 } }, 200],
          ['posted.mjs', ['POST', 'http://hello.internal/', { a: 1 }], 202],
        ] as const) {
          await using other = new ScriptedHost(binary, join(folder, 'guest.cjs'));
          const { exports } = await other.init(folder, file);
          assert.deepEqual(exports, file === 'both.mjs' ? ['fetch', 'event'] : ['fetch']);
          const call = await other.event({ a: 1 }).ended;
          assert.deepEqual([JSON.parse(call.text), call.meta!.status], [expected, status]);
          await other.close();
        }
      });
    });
  }
});
