// Black box: bodies that stream, under the protocol's credit, in the real guest. Memory is what these tests guard: neither
// side may have more on the way than CREDIT_WINDOW.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { BODY_CHUNK_MAX, CREDIT_WINDOW, FrameType } from '../../protocol/frames.ts';
import { NODES, ScriptedHost } from './scripted-host.ts';
import type { Call } from './scripted-host.ts';

const FUNCTION = `
const encoder = new TextEncoder();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let gate; let pulled = 0;
export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const size = Number(searchParams.get('size'));
    switch (pathname) {
      case '/count': { let bytes = 0; for await (const chunk of request.body) bytes += chunk.length; return new Response(String(bytes)); }
      case '/text': return new Response(await request.text());
      case '/echo': return new Response(request.body);
      case '/first': { const reader = request.body.getReader(); const { value } = await reader.read(); await reader.cancel(); return new Response(value); }
      case '/byob': { const reader = request.body.getReader({ mode: 'byob' }); let text = ''; for (;;) { const { value, done } = await reader.read(new Uint8Array(4)); if (value?.length) text += '[' + new TextDecoder().decode(value) + ']'; if (done) return new Response(text); } }
      case '/held': { console.log('held'); await new Promise((resolve) => (gate = resolve)); let bytes = 0; for await (const chunk of request.body) bytes += chunk.length; return new Response(String(bytes)); }
      case '/open': gate(); return new Response('opened');
      case '/broken-upload': { try { await request.text(); } catch (error) { console.log('upload: ' + error.name); } return new Response('late'); }
      case '/big': { pulled = 0; let left = size; return new Response(new ReadableStream({ pull(controller) { const bytes = Math.min(left, 100000); left -= bytes; pulled += bytes; if (bytes) controller.enqueue(new Uint8Array(bytes).fill(7)); else controller.close(); }, cancel(reason) { console.log('cancelled: ' + reason.name); } }, { highWaterMark: 0 })); }
      case '/one-chunk': return new Response(new Uint8Array(size).fill(7));
      case '/same-memory': { const chunk = new Uint8Array(10); let n = 0; return new Response(new ReadableStream({ pull(controller) { if (n === 10) return controller.close(); chunk.fill(n++); controller.enqueue(chunk); } }, { highWaterMark: 0 })); }
      case '/pulled': return new Response(String(pulled));
      case '/pulled-later': await sleep(50); return new Response(String(pulled));
      case '/small-chunks': return new Response(new ReadableStream({ start(controller) { for (let i = 0; i < 500; i++) controller.enqueue(new Uint8Array(1000)); controller.close(); } }));
      case '/events': return new Response(new ReadableStream({ async start(controller) { for (let i = 0; i < 3; i++) { controller.enqueue(encoder.encode('data: ' + i + '\\n\\n')); await sleep(5); } controller.close(); } }), { headers: { 'content-type': 'text/event-stream' } });
      case '/burst': return new Response(new ReadableStream({ start(controller) { for (let i = 0; i < 1000; i++) controller.enqueue(encoder.encode('line ' + i + '\\n')); controller.close(); } }));
      case '/head-first': return new Response(new ReadableStream({ async pull(controller) { await new Promise((resolve) => (gate = resolve)); controller.close(); } }, { highWaterMark: 0 }));
      case '/breaks': { let n = 0; return new Response(new ReadableStream({ async pull(controller) { await sleep(1); if (n++ === 2) throw new Error('source dried up'); controller.enqueue(encoder.encode('x')); } })); }
      case '/too-short': return new Response(new ReadableStream({ async start(controller) { controller.enqueue(encoder.encode('ab')); await sleep(2); controller.close(); } }), { headers: { 'content-length': '5' } });
      case '/too-long': return new Response(new ReadableStream({ async start(controller) { controller.enqueue(encoder.encode('ab')); await sleep(2); controller.enqueue(encoder.encode('cdef')); controller.close(); } }), { headers: { 'content-length': '5' } });
      case '/exact': return new Response(new ReadableStream({ async start(controller) { controller.enqueue(encoder.encode('ab')); await sleep(2); controller.enqueue(encoder.encode('cde')); controller.close(); } }), { headers: { 'content-length': '5' } });
    }
  },
};
`;
const MB = 1024 * 1024;

/** Sends a body as the engine does: never beyond the credit. */
async function upload(call: Call, bytes: number): Promise<void> {
  const chunk = Buffer.alloc(BODY_CHUNK_MAX, 7);
  for (let left = bytes; left > 0; left -= BODY_CHUNK_MAX) {
    await call.until(() => call.credit >= BODY_CHUNK_MAX);
    call.send(chunk.subarray(0, left), left <= BODY_CHUNK_MAX);
  }
}

describe('streamed bodies', { concurrency: true }, () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-streams-'));
    const bundle = await rolldown({ input: join(import.meta.dirname, 'guest.ts'), platform: 'node' });
    await bundle.write({ file: join(folder, 'guest.cjs'), format: 'cjs', codeSplitting: false });
    await bundle.close();
    await writeFile(join(folder, 'streams.mjs'), FUNCTION);
  });
  after(() => rm(folder, { recursive: true }));

  for (const { name, binary } of NODES) {
    describe(name, { concurrency: 1 }, () => {
      let host: ScriptedHost;
      before(async () => {
        host = new ScriptedHost(binary, join(folder, 'guest.cjs'));
        await host.init(folder, 'streams.mjs');
      });
      after(() => host.close());
      const post = (path: string, options = {}) => host.http(path, { method: 'POST' }, { streamed: true, ...options });

      test('20 MB up and 20 MB down pass whole, with the memory of the guest flat', async () => {
        const up = post('/count');
        await upload(up, 20 * MB);
        assert.equal((await up.ended).text, String(20 * MB));
        const down = host.http(`/big?size=${20 * MB}`);
        down.keepsBody = false;
        await down.ended;
        assert.equal(down.bodyBytes, 20 * MB);
        assert.ok(host.peakKib < 200 * 1024, `${host.peakKib} KiB`);
      });

      test('a body that comes later is read as text, and echoed while it comes', async () => {
        const text = post('/text', { body: 'first ' });
        text.send('second');
        text.send('', true);
        assert.equal((await text.ended).text, 'first second');
        const echo = post('/echo', { body: 'a' });
        await echo.head;
        await echo.until(() => echo.text === 'a');
        echo.send('b');
        await echo.until(() => echo.text === 'ab');
        echo.send('', true);
        assert.equal((await echo.ended).text, 'ab');
      });

      test('a reader with buffers of its own gets the bytes and the end', async () => {
        const call = post('/byob', { body: 'abcdef' });
        call.send('gh', true);
        assert.equal((await call.ended).text, '[abcd][ef][gh]');
      });

      test('a function that does not read its body is granted no more of it', async () => {
        const call = post('/held');
        call.send(Buffer.alloc(CREDIT_WINDOW));
        await host.log((record) => record.text === 'held');
        assert.equal(call.credit, 0);
        assert.equal((await host.http('/open').ended).text, 'opened');
        await call.until(() => call.credit > 0);
        call.send('', true);
        assert.equal((await call.ended).text, String(CREDIT_WINDOW));
      });

      test('a function that cancels the body tells the host, and throws away what still comes', async () => {
        const call = post('/first', { body: 'enough' });
        assert.equal((await call.ended).text, 'enough');
        await host.frame((frame) => frame.type === FrameType.CANCEL && frame.stream === call.stream);
        call.send(Buffer.alloc(1000), true);
      });

      test('a client that leaves in the middle of its upload breaks the body', async () => {
        const call = post('/broken-upload', { body: 'some' });
        call.cancel();
        assert.equal((await call.ended).error!.name, 'AbortError');
        await host.log((record) => record.text === 'upload: AbortError');
      });

      test('a slow client stops the source of the answer', async () => {
        const call = host.http(`/big?size=${5 * MB}`, {}, { slow: true });
        await call.until(() => call.bodyBytes === CREDIT_WINDOW);
        // One chunk is read ahead of what could be sent.
        assert.ok(Number((await host.http('/pulled').ended).text) <= CREDIT_WINDOW + 100_000);
        assert.equal(call.bodyBytes, CREDIT_WINDOW);
        call.grant(10);
        await call.until(() => call.bodyBytes === CREDIT_WINDOW + 10);
        call.grant(100 * MB);
        await call.ended;
        assert.equal(call.bodyBytes, 5 * MB);
      });

      test('a host that does not read at all stops the source as well', async () => {
        const call = host.http(`/big?size=${30 * MB}`, {}, { slow: true });
        await call.until(() => call.bodyBytes === CREDIT_WINDOW);
        call.grant(100 * MB);
        const later = host.http('/pulled-later');
        host.pause();
        await new Promise((resolve) => setTimeout(resolve, 80));
        host.resume();
        call.keepsBody = false;
        await call.ended;
        assert.equal(call.bodyBytes, 30 * MB);
        // What the socket holds, and what was on its way when the host stopped.
        assert.ok(Number((await later.ended).text) < 20 * MB, later.text);
      });

      test('many small chunks do not go beyond the credit either', async () => {
        const call = host.http('/small-chunks', {}, { slow: true });
        await call.until(() => call.bodyBytes >= CREDIT_WINDOW);
        await host.http('/pulled').ended;
        assert.equal(call.bodyBytes, CREDIT_WINDOW);
        call.grant(MB);
        await call.ended;
        assert.equal(call.bodyBytes, 500_000);
      });

      test('a cancelled answer cancels its source, and its slot is free', async () => {
        const call = host.http(`/big?size=${5 * MB}`, {}, { slow: true });
        await call.until(() => call.bodyBytes === CREDIT_WINDOW);
        call.cancel();
        await call.ended;
        assert.equal(call.bodyBytes, CREDIT_WINDOW);
        await host.log((record) => record.stream === call.stream && record.text === 'cancelled: AbortError');
      });

      test('one large chunk is cut, and no frame is longer than allowed', async () => {
        const call = await host.http(`/one-chunk?size=${3 * MB + 5}`).ended;
        assert.equal(call.bodyBytes, 3 * MB + 5);
        assert.ok(call.chunks.every((chunk) => chunk.length <= BODY_CHUNK_MAX && chunk.every((byte) => byte === 7)));
      });

      test('a source that fills the same memory again does not spoil what it gave before', async () => {
        const { body } = await host.http('/same-memory').ended;
        assert.deepEqual(
          [...body],
          Array.from({ length: 100 }, (_, i) => Math.floor(i / 10)),
        );
      });

      test('chunks leave as they come, those of one tick together', async () => {
        const events = await host.http('/events').ended;
        assert.equal(events.text, 'data: 0\n\ndata: 1\n\ndata: 2\n\n');
        assert.ok(events.frameCount >= 3);
        const burst = await host.http('/burst').ended;
        assert.equal(burst.text.split('\n').length, 1001);
        assert.equal(burst.frameCount, 1);
      });

      test('the head does not wait for the first chunk', async () => {
        const call = host.http('/head-first');
        assert.equal((await call.head).status, 200);
        await host.http('/open').ended;
        assert.equal((await call.ended).text, '');
      });

      test('a source that breaks ends the answer with its error', async () => {
        const { error, text, meta } = await host.http('/breaks').ended;
        assert.deepEqual([meta!.status, text, error!.message], [200, 'xx', 'source dried up']);
      });

      test('a promised content-length is kept, or the answer fails', async () => {
        assert.match((await host.http('/too-short').ended).error!.message, /content-length is 5, but its body has 2 bytes/);
        assert.match((await host.http('/too-long').ended).error!.message, /content-length is 5, but its body has more bytes/);
        const exact = await host.http('/exact').ended;
        assert.deepEqual([exact.text, exact.header('content-length')], ['abcde', ['5']]);
      });
    });
  }
});
