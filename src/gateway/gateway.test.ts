// The gateway over real HTTP, with scripted guests behind the engine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Guest } from '../functions/testing.ts';
import { Flag, FrameType, encodeFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { HttpRequestMeta } from '../protocol/frames.ts';
import { setUp } from './gateway-under-test.ts';

function echo(guest: Guest, stream: number, meta: unknown, body: Buffer): void {
  const { kind: _, ...rest } = meta as HttpRequestMeta;
  const answer = JSON.stringify({ ...rest, body: body.toString('base64') });
  guest.send(
    encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: ['content-type', 'application/json'] }, Buffer.from(answer), {
      flags: Flag.END,
      stream,
      arg: 0,
    }),
  );
}

const json = (body: Buffer): Record<string, string> => JSON.parse(body.toString()) as Record<string, string>;

test('a request reaches its function by host and by /@project, with the prefix taken off', async () => {
  await using edge = await setUp({ onRequest: echo });
  assert.equal(json((await edge.get('/a/b?x=1')).body)['url'], 'http://p.localhost/a/b?x=1');
  assert.equal(json((await edge.get('/@p/a/b?x=1', { headers: { host: 'localhost:8080' } })).body)['url'], 'http://localhost:8080/a/b?x=1');
});

test('what is not served is answered with the error body: project, route, method, target', async () => {
  await using edge = await setUp({ onRequest: echo }, { routes: [{ path: '/x', methods: ['GET'], function: 'f' }] });
  const cases: [string, NonNullable<Parameters<Awaited<ReturnType<typeof setUp>>['get']>[1]>, number, string][] = [
    ['/x', { headers: { host: 'other.localhost' } }, 404, 'project_not_found'],
    ['/x', { headers: { host: 'localhost' } }, 404, 'project_not_found'],
    ['/y', {}, 404, 'route_not_found'],
    ['/x', { method: 'POST' }, 405, 'method_not_allowed'],
    ['/%E0%A4%A', {}, 400, 'invalid_request'],
    ['/x', { headers: { host: 'user:word@p.localhost' } }, 400, 'invalid_request'],
  ];
  for (const [path, init, status, code] of cases) {
    const answer = await edge.get(path, init);
    assert.equal(answer.status, status, path);
    const { error } = JSON.parse(answer.body.toString()) as { error: { code: string; requestId: string } };
    assert.equal(error.code, code);
    assert.equal(error.requestId, answer.headers['x-request-id']);
    if (status === 405 && path === '/x') assert.equal(answer.headers.allow, 'GET, HEAD, OPTIONS');
  }
  assert.equal((await edge.get('/x', { method: 'OPTIONS' })).status, 204);
});

test('hop-by-hop headers stay here in both directions, forged forwarding headers are replaced, others pass intact', async () => {
  await using edge = await setUp({
    onRequest: (guest, stream, meta) => {
      const { headers } = meta as HttpRequestMeta;
      guest.send(
        encodeMetaFrame(
          FrameType.RESPONSE,
          {
            status: 201,
            headers: [
              'set-cookie',
              'a=1',
              'set-cookie',
              'b=2',
              'connection',
              'x-secret',
              'keep-alive',
              'timeout=1',
              'x-request',
              JSON.stringify(headers),
            ],
          },
          undefined,
          { flags: Flag.END, stream, arg: 0 },
        ),
      );
    },
  });
  const answer = await edge.get('/x', {
    headers: {
      connection: 'x-drop, close',
      'x-drop': '1',
      te: 'trailers',
      'x-forwarded-for': '6.6.6.6',
      cookie: 'c=d; e=f',
      'x-many': ['1', '2'],
      'x-request-id': 'mine-1',
    },
  });
  assert.equal(answer.status, 201);
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
  assert.equal(answer.headers['x-request-id'], 'mine-1');
  assert.notEqual(answer.headers['connection'], 'x-secret');
  const seen = JSON.parse(answer.headers['x-request'] as string) as string[];
  const names = seen.filter((_, i) => i % 2 === 0);
  for (const dropped of ['connection', 'x-drop', 'te']) assert.ok(!names.includes(dropped), dropped);
  assert.equal(seen[seen.indexOf('x-forwarded-for') + 1], '127.0.0.1');
  assert.equal(seen[seen.indexOf('cookie') + 1], 'c=d; e=f');
  assert.equal(names.filter((name) => name === 'x-many').length, 2);
});

test('a trace is continued with a parent id of our own, a malformed one begins anew', async () => {
  await using edge = await setUp({ onRequest: echo });
  const incoming = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const trace = json((await edge.get('/x', { headers: { traceparent: incoming } })).body)['trace']!;
  assert.equal(trace.slice(0, 36), incoming.slice(0, 36));
  assert.notEqual(trace, incoming);
  const fresh = json((await edge.get('/x', { headers: { traceparent: '00-zz' } })).body)['trace']!;
  assert.match(fresh, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.equal(edge.recorder.records[0]!.traceId, '0af7651916cd43dd8448eb211c80319c');
});

test('the receipt is in Server-Timing, cold at first, warm afterwards', async () => {
  await using edge = await setUp({ onRequest: echo });
  assert.match(
    String((await edge.get('/x')).headers['server-timing']),
    /^cold, queue;dur=[\d.]+, sandbox;dur=[\d.]+, load;dur=[\d.]+, init;dur=[\d.]+, handler;dur=[\d.]+$/,
  );
  assert.match(String((await edge.get('/x')).headers['server-timing']), /^warm, queue;dur=[\d.]+, handler;dur=[\d.]+$/);
});

test('binary bodies of every size arrive intact both ways', async () => {
  const bodies = new Map<string, Buffer[]>();
  await using edge = await setUp({
    onRequest: (guest, stream, meta, body) => {
      bodies.set(`${guest.spec.id}/${stream}`, [body]);
      const last = guest.seen.at(-1)!;
      if ((last.flags & Flag.END) !== 0) echo(guest, stream, meta, body);
    },
    onFrame: (guest, frame) => {
      if (frame.type !== FrameType.BODY) return;
      const chunks = bodies.get(`${guest.spec.id}/${frame.stream}`)!;
      chunks.push(Buffer.from(frame.payload));
      guest.send(encodeFrame(FrameType.CREDIT, { stream: frame.stream, arg: frame.payload.length }));
      if ((frame.flags & Flag.END) === 0) return;
      const whole = Buffer.concat(chunks);
      guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, undefined, { flags: 0, stream: frame.stream, arg: 0 }));
      // In two parts, within the window that a guest has without credit.
      const back = whole.subarray(0, 200_000);
      for (let at = 0; at < back.length; at += 60_000)
        guest.send(encodeFrame(FrameType.BODY, { stream: frame.stream, payload: back.subarray(at, at + 60_000) }));
      guest.send(encodeFrame(FrameType.BODY, { stream: frame.stream, flags: Flag.END }));
    },
  });
  const small = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));
  assert.equal(json((await edge.get('/x', { method: 'POST', body: small })).body)['body'], small.toString('base64'));
  const large = Buffer.alloc(3_000_000, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
  const answer = await edge.get('/x', { method: 'POST', body: large, headers: { 'transfer-encoding': 'chunked' } });
  assert.ok(answer.body.equals(large.subarray(0, 200_000)));
});

test('a body over the limit gets 413, declared or not', async () => {
  await using edge = await setUp({ onRequest: () => {} }, { requestBytesMax: 100_000 });
  assert.equal((await edge.get('/x', { method: 'POST', body: Buffer.alloc(100_001) })).status, 413);
  const chunked = await edge.get('/x', { method: 'POST', body: Buffer.alloc(300_000), headers: { 'transfer-encoding': 'chunked' } });
  assert.equal(chunked.status, 413);
});

test('HEAD has the headers and no body', async () => {
  await using edge = await setUp({ onRequest: echo });
  const answer = await edge.get('/x', { method: 'HEAD' });
  assert.equal(answer.status, 200);
  assert.equal(answer.body.length, 0);
});

test('an answer that HTTP cannot carry becomes a 502 that says so', async () => {
  await using edge = await setUp({
    onRequest: (guest, stream) =>
      guest.send(
        encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: ['x-bad', 'a\r\nb: c'] }, undefined, {
          flags: Flag.END,
          stream,
          arg: 0,
        }),
      ),
  });
  const answer = await edge.get('/x');
  assert.equal(answer.status, 502);
  assert.match(answer.body.toString(), /function_bad_response/);
  assert.equal(edge.recorder.records[0]!.outcome, 'function_bad_response');
});

test('a full queue answers 429 with Retry-After', async () => {
  const answers: (() => void)[] = [];
  await using edge = await setUp(
    { onRequest: (guest, stream, meta, body) => answers.push(() => echo(guest, stream, meta, body)) },
    { settings: { concurrency: 1, queue: 0, instances: { min: 0, max: 1 } } },
  );
  const first = edge.get('/x');
  while (answers.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const second = await edge.get('/x');
  assert.equal(second.status, 429);
  assert.equal(second.headers['retry-after'], '1');
  answers[0]!();
  assert.equal((await first).status, 200);
});

test('an answer that breaks off midway is seen by the client as broken, not as whole', async () => {
  await using edge = await setUp({
    onRequest: (guest, stream) => {
      guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: [] }, Buffer.from('half'), { flags: 0, stream, arg: 0 }));
      setImmediate(() => guest.end({ code: 1 }));
    },
  });
  await assert.rejects(edge.get('/x'), /aborted|ECONNRESET|socket hang up/);
  assert.equal(edge.recorder.records[0]!.outcome, 'function_crashed');
});

test('a client that leaves abandons its call', async () => {
  const cancelled = Promise.withResolvers<void>();
  await using edge = await setUp({
    onRequest: () => {},
    onFrame: (_, frame) => void (frame.type === FrameType.CANCEL && cancelled.resolve()),
  });
  const socket = connect(edge.port, '127.0.0.1');
  socket.write('GET /x HTTP/1.1\r\nhost: p.localhost\r\n\r\n');
  while (edge.sandboxes.guests[0]?.seen.some((frame) => frame.type === FrameType.REQUEST) !== true)
    await new Promise((resolve) => setImmediate(resolve));
  socket.destroy();
  await cancelled.promise;
});

test('an idle connection is closed after its keep-alive time, one with a call under way is not', async () => {
  const keepAliveMs = 80;
  const waiting: (() => void)[] = [];
  await using virga = await setUp(
    {
      onRequest: (guest, stream, meta) =>
        (meta as HttpRequestMeta).url.endsWith('/slow') ? waiting.push(() => guest.answer(stream, 'late')) : guest.answer(stream, 'ok'),
    },
    { keepAliveMs },
  );
  const open = async (path: string) => {
    const socket = connect(virga.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const closed = once(socket, 'close');
    socket.write(`GET ${path} HTTP/1.1\r\nhost: p.localhost\r\n\r\n`);
    return { socket, closed, said: () => text };
  };
  const slow = await open('/slow');
  const quick = await open('/quick');
  const startedAt = performance.now();
  await quick.closed;
  assert.match(quick.said(), /200 OK[^]*Keep-Alive: timeout=0[^]*ok/);
  assert.ok(performance.now() - startedAt >= keepAliveMs);
  // It has been open for longer than that as well.
  assert.equal(slow.socket.destroyed, false);
  waiting.forEach((answer) => answer());
  await slow.closed;
  assert.match(slow.said(), /late/);
});

test('a call that waits behind another on its connection keeps the connection as well', async () => {
  const waiting: (() => void)[] = [];
  await using virga = await setUp(
    {
      onRequest: (guest, stream, meta) =>
        (meta as HttpRequestMeta).url.endsWith('/slow') ? waiting.push(() => guest.answer(stream, 'late')) : guest.answer(stream, 'ok'),
    },
    { keepAliveMs: 80 },
  );
  const head = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: p.localhost\r\n\r\n`;
  const [behind, idle] = [connect(virga.port, '127.0.0.1'), connect(virga.port, '127.0.0.1')];
  let text = '';
  behind.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [closed, idleClosed] = [once(behind, 'close'), once(idle, 'close')];
  idle.resume();
  behind.write(head('/quick') + head('/slow'));
  await once(behind, 'data');
  idle.write(head('/quick'));
  await idleClosed;
  assert.equal(behind.destroyed, false);
  assert.match(text, /ok$/);
  waiting.forEach((answer) => answer());
  await closed;
  assert.match(text, /late$/);
});
