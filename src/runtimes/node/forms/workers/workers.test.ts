// Black box: Cloudflare Workers in the real, bundled guest, on each Node that it must run on.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import type { InitPayload } from '../../../../protocol/frames.ts';
import { NODES, ScriptedHost } from '../../scripted-host.ts';
import { moduleBytes } from '../wasm/testing-module.ts';

const MODULE = `
import { env as importedEnv, waitUntil, WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
import { connect } from 'cloudflare:sockets';
import assert from 'assert';
import { Buffer } from 'node:buffer';
import page from './page.html';
import add from './add.wasm';
import raw from './raw.bin';

const topLevel = importedEnv.GREETING;
class Target extends RpcTarget {}

export default {
  name: 'site',
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case '/hello': return new Response(env.GREETING + ' from ' + this.name);
      case '/env': return Response.json({ ...env, topLevel, same: env.GREETING === importedEnv.GREETING, process: process.env.GREETING });
      case '/request': return Response.json({ cf: request.cf === undefined, redirect: request.redirect, ip: request.headers.get('cf-connecting-ip'), real: request.headers.get('x-real-ip'),
        ray: request.headers.get('cf-ray'), visitor: request.headers.get('cf-visitor'), country: request.headers.get('cf-ipcountry'), own: request.headers.get('x-own'), body: await request.text() });
      case '/ctx': { ctx.passThroughOnException(); const { props } = ctx;
        ctx.waitUntil((async () => { await scheduler.wait(10); console.log('waited'); })());
        waitUntil((async () => { await scheduler.wait(10); console.log('waited too'); })());
        return Response.json({ props }); }
      case '/throw': ctx.passThroughOnException(); throw new Error('no such page');
      case '/binding': return Response.json(await env.NOTES.get('a'));
      case '/globals': {
        const digest = new crypto.DigestStream('SHA-256'); const writer = digest.getWriter(); await writer.write(Buffer.from('a')); await writer.close();
        return Response.json({ agent: navigator.userAgent, self: self === globalThis, equal: crypto.subtle.timingSafeEqual(Buffer.from('a'), Buffer.from('a')),
          digest: Buffer.from(await digest.digest).toString('hex').slice(0, 8), uuid: crypto.randomUUID().length, all: new Response('', { headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2']] }).headers.getAll('Set-Cookie'),
          instance: new Response('x') instanceof Response, target: new Target() instanceof RpcTarget, assert: typeof assert.ok });
      }
      case '/html-rewriter': return new HTMLRewriter().on('a', {}).transform(new Response('x'));
      case '/pair': { const [a] = Object.values(new WebSocketPair()); return new Response(null, { status: 101, webSocket: a }); }
      case '/imports': return Response.json({ page, wasm: WebAssembly.Module.exports(add).map(({ name }) => name), raw: raw instanceof ArrayBuffer && raw.byteLength });
      case '/stream': {
        const { readable, writable } = new IdentityTransformStream();
        ctx.waitUntil((async () => { const writer = writable.getWriter(); for (const part of ['a', 'b', 'c']) { await writer.write(new TextEncoder().encode(part)); await scheduler.wait(5); } await writer.close(); })());
        return new Response(readable);
      }
      case '/fixed': { const { readable, writable } = new FixedLengthStream(3); const writer = writable.getWriter(); writer.write(Buffer.from('abc')); writer.close(); return new Response(readable); }
      case '/gzip': return new Response('text '.repeat(100), { headers: { 'content-encoding': 'gzip' } });
      case '/gzip-manual': return new Response(Buffer.from(searchParams.get('body'), 'base64'), { encodeBody: 'manual', headers: { 'content-encoding': 'gzip' } });
      case '/proxy': return fetch(new Request(searchParams.get('to'), request));
      case '/proxy-copy': { const fetched = await fetch(searchParams.get('to')); return new Response(fetched.body, fetched); }
      case '/cache': {
        const cache = searchParams.has('name') ? await caches.open(searchParams.get('name')) : caches.default;
        const key = 'https://example.com/' + searchParams.get('key');
        if (request.method === 'PUT') return cache.put(key, new Response(await request.text(), { headers: request.headers.get('x-headers') ? JSON.parse(request.headers.get('x-headers')) : {} })).then(() => new Response('put'), (error) => new Response(error.message, { status: 400 }));
        if (request.method === 'DELETE') return new Response(String(await cache.delete(key)));
        return (await cache.match(new Request(key, { headers: request.headers }))) ?? new Response('miss', { status: 404 });
      }
      case '/fill': for (let i = 0; i < 40; i++) await caches.default.put('https://example.com/big' + i, new Response(new Uint8Array(1024 * 1024)));
        return Response.json(await Promise.all([0, 39].map(async (i) => (await caches.default.match('https://example.com/big' + i)) !== undefined)));
      case '/socket': { const socket = connect({ hostname: '127.0.0.1', port: Number(searchParams.get('port')) }); const { remoteAddress } = await socket.opened;
        const writer = socket.writable.getWriter(); await writer.write(Buffer.from('GET /socket HTTP/1.0\\r\\n\\r\\n'));
        const text = await new Response(socket.readable).text(); await socket.close(); return new Response(remoteAddress + ' ' + text.split('\\r\\n').pop()); }
      case '/socket-refused': { const socket = connect('127.0.0.1:1'); return socket.opened.then(() => new Response('open'), (error) => new Response(error.message)); }
      case '/socket-address': try { connect('nowhere'); } catch (error) { return new Response(error.message); }
    }
    return new Response(null, { status: 404 });
  },
  async scheduled(controller, env, ctx) {
    console.log(controller.cron + ' ' + new Date(controller.scheduledTime).toISOString() + ' ' + env.GREETING + ' ' + (this.name ?? ''));
    if (controller.cron === '1 1 1 1 1') { controller.noRetry(); throw new Error('in vain'); }
    if (controller.cron === '2 2 2 2 2') throw new Error('try again');
  },
  async queue(batch, env) {
    console.log(batch.queue + ' ' + JSON.stringify(batch.messages.map(({ id, timestamp, attempts, body }) => [id, timestamp.toISOString(), attempts, body instanceof ArrayBuffer ? 'bytes ' + body.byteLength : body])));
    for (const message of batch.messages) {
      if (message.body?.do === 'ack') { message.ack(); message.retry(); }
      if (message.body?.do === 'retry') { message.retry({ delaySeconds: 5 }); message.ack(); }
      if (message.body?.do === 'ackAll') batch.ackAll();
      if (message.body?.do === 'retryAll') batch.retryAll();
      if (message.body?.do === 'throw') throw new Error('cannot');
    }
  },
};

export class Admin extends WorkerEntrypoint {
  calls = 0;
  async fetch(request) { this.ctx.waitUntil(Promise.resolve()); return Response.json([this.env.GREETING, ++this.calls, new URL(request.url).pathname]); }
}
export class Nothing {}
`;

const SERVICE_WORKER = `
const early = GREETING;
addEventListener('fetch', (event) => {
  if (event.request.url.endsWith('/none')) return;
  event.passThroughOnException();
  event.respondWith(handle(event));
});
addEventListener('scheduled', (event) => event.waitUntil((async () => { await scheduler.wait(5); console.log(event.cron + ' ' + event.scheduledTime); if (event.cron === 'fail') throw new Error('no'); })()));
addEventListener('queue', (event) => { for (const message of event.messages) message.retry(); });
async function handle(event) {
  if (event.request.url.endsWith('/fail')) throw new Error('failed');
  if (event.request.url.endsWith('/twice')) { await null; try { event.respondWith(new Response('2')); } catch (error) { return new Response(error.name); } }
  event.waitUntil(scheduler.wait(1).then(() => console.log('after')));
  return new Response(early + ' ' + GREETING);
}
`;

const CLOUD_EVENT = { contentType: 'application/cloudevents+json' };
const schedule = (cron: string) => ({
  specversion: '1.0',
  id: '1',
  source: '/projects/p/schedules/s',
  type: 'virga.schedule.due',
  data: { schedule: 's', cron, timezone: 'UTC', dueAt: Date.UTC(2026, 0, 2) },
});
const queue = (bodies: (string | [string, string])[]) => ({
  specversion: '1.0',
  id: '1',
  source: '/projects/p/queues/orders',
  type: 'virga.queue.batch',
  data: {
    queue: 'orders',
    messages: bodies.map((body, i) => ({
      id: `m${i}`,
      body: Array.isArray(body) ? body[0] : body,
      attributes: Array.isArray(body) ? { 'content-type': body[1] } : {},
      attempt: i + 1,
      sentAt: Date.UTC(2026, 0, 1),
      firstReceivedAt: 0,
    })),
  },
});

describe('Cloudflare Workers', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-workers-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
    await bundle.write({ dir: join(folder, 'guest'), format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: 'guest-[name].cjs' });
    const code = join(folder, 'code');
    await mkdir(code);
    const files: Record<string, string | Uint8Array> = {
      'index.mjs': MODULE,
      'page.html': '<p>',
      'add.wasm': moduleBytes({ imports: [], exports: ['add'] }),
      'raw.bin': Buffer.from([1, 2, 3]),
      'service.cjs': SERVICE_WORKER,
      'none.mjs': 'export const a = 1;',
      'empty.cjs': 'const a = 1;',
      'without.mjs': 'export default { hello() {} };',
      'email.mjs': 'export default { fetch: () => new Response("x"), email() {}, tail() {} };',
      'object.mjs':
        "import { DurableObject } from 'cloudflare:workers';\nexport default class Counter extends DurableObject { fetch() {} }",
      'lib.mjs':
        "import { DurableObject } from 'cloudflare:workers';\nclass Counter extends DurableObject {}\nexport default { fetch: () => new Response(new Counter().x) };",
      'unknown.mjs': "import { EmailMessage } from 'cloudflare:email';\nexport default { fetch() {} };",
    };
    for (const [name, content] of Object.entries(files)) await writeFile(join(code, name), content);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const { name, binary } of NODES) {
    describe(name, () => {
      const started = async (handler: string, overrides: Partial<InitPayload> = {}): Promise<ScriptedHost> => {
        const host = new ScriptedHost(binary, join(folder, 'guest', 'guest.cjs'));
        await host.hello();
        const base = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8', TZ: 'UTC' };
        await host.init(join(folder, 'code'), handler, { form: 'workers', env: { ...base, GREETING: 'hi', LIMIT: '5' }, ...overrides });
        return host;
      };
      let host: ScriptedHost;
      before(async () => (host = await started('index.mjs')));
      after(() => host.close());

      const text = async (path: string, options: Parameters<ScriptedHost['http']>[1] = {}, body?: string): Promise<string> => {
        const call = await host.http(path, options, body === undefined ? {} : { body }).ended;
        assert.equal(call.error, undefined, call.error?.stack ?? '');
        return call.text;
      };
      const json = async (path: string): Promise<unknown> => JSON.parse(await text(path));

      test('fetch gets the request, the variables and a context', async () => {
        assert.equal(await text('/hello'), 'hi from site');
        assert.deepEqual(await json('/env'), { GREETING: 'hi', LIMIT: '5', topLevel: 'hi', same: true, process: 'hi' });
        assert.deepEqual(await json('/ctx'), { props: {} });
        await host.log(({ text: line }) => line === 'waited');
        await host.log(({ text: line }) => line === 'waited too');
      });

      test('headers of the edge say what the gateway saw', async () => {
        const headers = ['CF-Connecting-IP', '6.6.6.6', 'X-Real-IP', '6.6.6.6', 'CF-IPCountry', 'XX', 'cf-ray', 'x', 'X-Own', '1'];
        const answer = JSON.parse(await text('/request', { method: 'POST', headers, client: '10.1.2.3' }, 'body'));
        assert.deepEqual(answer, {
          cf: true,
          redirect: 'manual',
          ip: '10.1.2.3',
          real: '10.1.2.3',
          ray: '0af7651916cd43dd-VRG',
          visitor: '{"scheme":"http"}',
          country: null,
          own: '1',
          body: 'body',
        });
      });

      test('an error is answered as an error, also after passThroughOnException', async () => {
        const { error } = await host.http('/throw').ended;
        assert.deepEqual([error?.name, error?.message], ['Error', 'no such page']);
        assert.match(error!.stack, /index\.mjs:\d+/);
        assert.doesNotMatch(error!.stack, /guest/);
      });

      test('a binding that is not there is named beside the error that follows', async () => {
        const call = await host.http('/binding').ended;
        assert.match(call.error!.message, /Cannot read properties of undefined \(reading 'get'\)/);
        assert.ok(host.logs.some((line) => line.stream === call.stream && line.level === 'warn' && line.text.includes('env.NOTES')));
      });

      test('globals of Workers', async () => {
        assert.deepEqual(await json('/globals'), {
          agent: 'Cloudflare-Workers',
          self: true,
          equal: true,
          digest: 'ca978112',
          uuid: 36,
          all: ['a=1', 'b=2'],
          instance: true,
          target: true,
          assert: 'function',
        });
        assert.match(
          (await host.http('/html-rewriter').ended).error!.message,
          /^HTMLRewriter is of Cloudflare Workers and has no counterpart/,
        );
        assert.match((await host.http('/pair').ended).error!.message, /^WebSocketPair is of Cloudflare Workers and has no counterpart/);
      });

      test('files are imported as text, bytes and WebAssembly.Module', async () => {
        assert.deepEqual(await json('/imports'), { page: '<p>', wasm: ['add', 'memory'], raw: 3 });
      });

      test('answers stream', async () => {
        const call = await host.http('/stream').ended;
        assert.equal(call.text, 'abc');
        assert.ok(call.frameCount >= 3);
        const fixed = await host.http('/fixed').ended;
        assert.deepEqual([fixed.text, fixed.header('content-length')], ['abc', ['3']]);
      });

      test('a body is encoded as its header says, and only for who takes it', async () => {
        const call = await host.http('/gzip', { headers: ['Accept-Encoding', 'br, gzip'] }).ended;
        assert.deepEqual([gunzipSync(call.body).toString(), call.header('content-encoding')], ['text '.repeat(100), ['gzip']]);
        const plain = await host.http('/gzip').ended;
        assert.deepEqual([plain.text, plain.header('content-encoding')], ['text '.repeat(100), []]);
        const body = gzipSync('own');
        const manual = await host.http(`/gzip-manual?body=${encodeURIComponent(body.toString('base64'))}`).ended;
        assert.deepEqual([manual.body, manual.header('content-encoding')], [body, ['gzip']]);
      });

      test('what is fetched is passed on: redirects, methods, encoded bodies', async () => {
        const server = createServer((request, response) => {
          if (request.url === '/redirect') return response.writeHead(302, { location: '/elsewhere' }).end();
          if (request.url === '/gzip') return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('zipped'));
          response.end(
            `${request.method} ${request.url} ${String(request.headers['x-own'] ?? '-')} ${request.headers['host'] === 'tour.localhost:8080'}`,
          );
        }).listen(0, '127.0.0.1');
        await new Promise((resolve) => server.once('listening', resolve));
        try {
          const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
          assert.equal(
            await text(`/proxy?to=${origin}/a`, { method: 'DELETE', headers: ['Host', 'tour.localhost:8080', 'X-Own', '1'] }),
            'DELETE /a 1 false',
          );
          const redirect = await host.http(`/proxy?to=${origin}/redirect`).ended;
          assert.deepEqual([redirect.meta!.status, redirect.header('location')], [302, ['/elsewhere']]);
          for (const path of ['/proxy', '/proxy-copy']) {
            const call = await host.http(`${path}?to=${origin}/gzip`).ended;
            assert.deepEqual([call.text, call.header('content-encoding')], ['zipped', []]);
          }
          const copy = await host.http(`/proxy-copy?to=${origin}/gzip`, { headers: ['accept-encoding', 'gzip'] }).ended;
          assert.deepEqual([gunzipSync(copy.body).toString(), copy.header('content-encoding')], ['zipped', ['gzip']]);
          assert.equal(await text(`/socket?port=${origin.slice(origin.lastIndexOf(':') + 1)}`), '127.0.0.1 GET /socket - false');
        } finally {
          server.close();
        }
        assert.match(await text('/socket-refused'), /the connection to 127\.0\.0\.1 failed: connect ECONNREFUSED/);
        assert.match(await text('/socket-address'), /"nowhere" is no address; expected 'host:port'/);
      });

      test('the cache keeps what it may, answers conditions and ranges, and is bounded', async () => {
        const put = async (key: string, headers: Record<string, string>): Promise<string> =>
          (
            await host.http(`/cache?key=${key}`, { method: 'PUT', headers: ['x-headers', JSON.stringify(headers)] }, { body: 'hello' })
              .ended
          ).text;
        const match = async (key: string, headers: string[] = []) => {
          const call = await host.http(`/cache?key=${key}`, { headers }).ended;
          return [call.meta!.status, call.text];
        };
        assert.deepEqual(await match('a'), [404, 'miss']);
        assert.equal(await put('a', { etag: '"1"', 'x-own': '1', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }), 'put');
        const hit = await host.http('/cache?key=a').ended;
        assert.deepEqual([hit.meta!.status, hit.text, hit.header('x-own'), hit.header('cf-cache-status')], [200, 'hello', ['1'], ['HIT']]);
        assert.deepEqual(await match('a', ['if-none-match', 'W/"1"']), [304, '']);
        assert.deepEqual(await match('a', ['if-modified-since', 'Fri, 02 Jan 2026 00:00:00 GMT']), [304, '']);
        assert.deepEqual(await match('a', ['range', 'bytes=1-2']), [206, 'el']);
        assert.deepEqual(await match('a', ['range', 'bytes=-2']), [206, 'lo']);
        assert.equal((await host.http('/cache?key=a&name=other').ended).text, 'miss', 'a cache of another name');
        assert.equal(await text('/cache?key=a', { method: 'DELETE' }), 'true');
        assert.deepEqual(await match('a'), [404, 'miss']);
        for (const headers of [
          { 'cache-control': 'no-store' },
          { 'cache-control': 'private, max-age=60' },
          { 'cache-control': 'max-age=0' },
          { 'set-cookie': 'a=1' },
          { expires: '0' },
        ]) {
          assert.equal(await put('b', headers as Record<string, string>), 'put');
          assert.deepEqual(await match('b'), [404, 'miss'], JSON.stringify(headers));
        }
        await put('c', { 'set-cookie': 'a=1', 'cache-control': 'private=Set-Cookie, s-maxage=60' });
        const kept = await host.http('/cache?key=c').ended;
        assert.deepEqual([kept.text, kept.header('set-cookie')], ['hello', []]);
        assert.match(await put('d', { vary: '*' }), /takes no response with 'Vary: \*'/);
        assert.deepEqual(await json('/fill'), [false, true]);
      });

      test('a schedule that is due calls scheduled', async () => {
        const call = await host.event(schedule('*/5 * * * *'), CLOUD_EVENT).ended;
        assert.equal(call.text, '{"outcome":"ok"}');
        assert.ok(host.logs.some((line) => line.text === '*/5 * * * * 2026-01-02T00:00:00.000Z hi site'));
        assert.equal((await host.event(schedule('2 2 2 2 2'), CLOUD_EVENT).ended).error!.message, 'try again');
        const vain = await host.event(schedule('1 1 1 1 1'), CLOUD_EVENT).ended;
        assert.equal(vain.text, '{"outcome":"exception"}');
        assert.ok(host.logs.some((line) => line.stream === vain.stream && line.text.includes('in vain')));
      });

      test('a batch calls queue; what comes again is what it says, or all that it has not acknowledged', async () => {
        const failed = async (bodies: (string | [string, string])[]): Promise<string> =>
          (await host.event(queue(bodies), CLOUD_EVENT).ended).text;
        assert.equal(await failed(['{"a":1}', 'plain', ['{"a":1}', 'text'], ['AQID', 'bytes']]), '{"failed":[]}');
        const at = '2026-01-01T00:00:00.000Z';
        const seen = JSON.stringify([
          ['m0', at, 1, { a: 1 }],
          ['m1', at, 2, 'plain'],
          ['m2', at, 3, '{"a":1}'],
          ['m3', at, 4, 'bytes 3'],
        ]);
        assert.ok(host.logs.some((line) => line.text === `orders ${seen}`));
        assert.equal(await failed(['{"do":"ack"}', '{"do":"retry"}', '1']), '{"failed":["m1"]}');
        assert.ok(host.logs.some((line) => line.text.includes("the queue's own delay counts")));
        assert.equal(await failed(['{"do":"ack"}', '1', '{"do":"retryAll"}']), '{"failed":["m1","m2"]}');
        assert.equal(await failed(['{"do":"retry"}', '{"do":"ackAll"}', '1']), '{"failed":["m0"]}');
        assert.equal(await failed(['{"do":"ack"}', '{"do":"throw"}', '1']), '{"failed":["m1","m2"]}');
        assert.equal((await host.event(queue(['{"do":"throw"}', '1']), CLOUD_EVENT).ended).error!.message, 'cannot');
      });

      test('any other payload is refused with what a Worker takes', async () => {
        const refused = async (payload: unknown, type = 'application/json'): Promise<string> =>
          (await host.event(payload, { contentType: type }).ended).error!.message;
        assert.match(
          await refused({ a: 1 }),
          /^the payload is application\/json; a Worker takes HTTP requests, and CloudEvents .* virga\.schedule\.due and virga\.queue\.batch$/,
        );
        const { contentType } = CLOUD_EVENT;
        assert.match(await refused({ a: 1 }, contentType), /the payload is no CloudEvent/);
        assert.match(await refused('{', contentType), /not valid JSON/);
        assert.match(
          await refused({ ...schedule('x'), type: 'virga.topic.message' }, contentType),
          /the event is of the type virga\.topic\.message; a Worker takes/,
        );
        assert.match(await refused({ ...schedule('x'), data: {} }, contentType), /has not the cron and dueAt/);
      });

      test('a class is made for each call, and `handler` names another entry', async () => {
        await using admin = await started('index.mjs#Admin');
        for (const _ of [1, 2]) assert.equal((await admin.http('/a').ended).text, '["hi",1,"/a"]');
        assert.match(
          (await admin.event(schedule('x'), CLOUD_EVENT).ended).error!.message,
          /the Worker has no scheduled\(\), and got virga\.schedule\.due/,
        );
      });

      test('a service worker: listeners, and variables as globals', async () => {
        await using service = await started('service.cjs');
        const call = await service.http('/').ended;
        assert.equal(call.text, 'hi hi');
        await service.log(({ text: line, stream }) => line === 'after' && stream === call.stream);
        assert.equal((await service.http('/fail').ended).error!.message, 'failed');
        assert.equal((await service.http('/twice').ended).text, 'InvalidStateError');
        assert.match((await service.http('/none').ended).error!.message, /no listener for 'fetch' called event\.respondWith/);
        const due = await service.event(schedule('0 0 * * *'), CLOUD_EVENT).ended;
        assert.equal(due.text, '{"outcome":"ok"}');
        assert.ok(service.logs.some((line) => line.text === `0 0 * * * ${Date.UTC(2026, 0, 2)}`));
        assert.equal((await service.event(schedule('fail'), CLOUD_EVENT).ended).error!.message, 'no');
        assert.equal((await service.event(queue(['a', 'b']), CLOUD_EVENT).ended).text, '{"failed":["m0","m1"]}');
      });

      test('code that is no Worker fails at its load, and says why', async () => {
        const failure = (handler: string): Promise<string> =>
          started(handler).then(
            () => 'it loaded',
            ({ message }: Error) => message,
          );
        assert.match(
          await failure('none.mjs'),
          /^none\.mjs has no default export, and adds no listener for fetch, scheduled or queue: it exports 'a'/,
        );
        assert.match(await failure('empty.cjs'), /^empty\.cjs has no default export/);
        assert.match(await failure('without.mjs'), /its default export has none of fetch, scheduled and queue/);
        assert.match(await failure('index.mjs#Missing'), /has no export 'Missing'/);
        assert.match(await failure('index.mjs#Nothing'), /its export 'Nothing' has none of/);
        assert.match(await failure('object.mjs'), /Counter is a Durable Object; Virga has none/);
        assert.match(await failure('unknown.mjs'), /the module 'cloudflare:email' of Cloudflare Workers has no counterpart/);
        await using email = await started('email.mjs');
        assert.ok(email.logs.some((line) => line.text === 'the Worker has email(), tail(), which nothing here calls'));
        await using library = await started('lib.mjs');
        assert.match((await library.http('/').ended).error!.message, /^Counter is a Durable Object, and Virga has none/);
      });
    });
  }
});
