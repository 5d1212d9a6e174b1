// The way of a request through stages: who answers, what the function sees, who hears of the end.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { CallSink } from '../functions/call.ts';
import type { Guest } from '../functions/testing.ts';
import { VirgaError } from '../protocol/errors.ts';
import { Flag, FrameType, encodeFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { Frame, HttpRequestMeta } from '../protocol/frames.ts';
import type { Route } from '../protocol/settings.ts';
import { setUp } from './gateway-under-test.ts';
import type { Feature, GatewayRequest, Stage } from './stage.ts';

const featureOf = (stage: Stage): Feature => ({ compile: () => stage });

function echo(guest: Guest, stream: number, meta: unknown, body: Buffer): void {
  const { method, url, headers } = meta as HttpRequestMeta;
  answer(guest, stream, { method, url, headers, bytes: body.length });
}

function answer(guest: Guest, stream: number, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value));
  guest.send(
    encodeMetaFrame(FrameType.RESPONSE, { status: 200, headers: ['x-of', 'function'] }, body, { flags: Flag.END, stream, arg: 0 }),
  );
}

const json = (body: Buffer) => JSON.parse(body.toString()) as Record<string, unknown>;

for (const waits of [false, true]) {
  const later = <T>(value: T): T | Promise<T> => (waits ? new Promise((resolve) => setImmediate(resolve, value)) : value);
  const how = waits ? 'later' : 'at once';

  test(`a stage that answers or refuses ${how} keeps the function out, and every answer carries what stages add`, async () => {
    const ended: string[] = [];
    const stage: Stage = {
      onHead: ({ target }) => {
        if (target === '/local') return later({ status: 203, headers: ['x-of', 'gateway'], body: Buffer.from('here') });
        if (target === '/no') return later({ error: new VirgaError('forbidden', 'no'), headers: ['www-authenticate', 'None'] });
        return later(undefined);
      },
      onAnswer: (request, status, headers) => void headers.push('x-seen', `${request.target} ${status}`),
      onEnd: ({ target }) => void ended.push(target),
    };
    await using edge = await setUp({ onRequest: echo }, { features: [featureOf(stage)] });
    const local = await edge.get('/local', { method: 'POST', body: 'x'.repeat(100_000) });
    assert.deepEqual(
      [local.status, local.headers['x-of'], local.headers['x-seen'], local.body.toString()],
      [203, 'gateway', '/local 203', 'here'],
    );
    const refused = await edge.get('/no');
    assert.deepEqual([refused.status, refused.headers['www-authenticate'], refused.headers['x-seen']], [403, 'None', '/no 403']);
    const through = await edge.get('/yes');
    assert.deepEqual([through.status, through.headers['x-of'], through.headers['x-seen']], [200, 'function', '/yes 200']);
    assert.deepEqual(ended.toSorted(), ['/local', '/no', '/yes']);
  });

  test(`a stage that reads the body ${how}: it sees all of it, then the function does`, async () => {
    const seen: number[] = [];
    const stage: Stage = {
      bodyBytesMax: 1_000_000,
      onBody: (_request, body) => {
        seen.push(body.length);
        return later(body.includes('bad') ? { error: new VirgaError('invalid_request', 'it is bad') } : undefined);
      },
    };
    const bytes: number[] = [];
    const collected = new Map<number, number>();
    await using edge = await setUp(
      {
        onRequest: (guest, stream, _meta, body) => {
          collected.set(stream, body.length);
          if (body.length > 0) done(guest, stream);
        },
        onFrame: (guest: Guest, frame: Frame) => {
          if (frame.type !== FrameType.BODY) return;
          collected.set(frame.stream, collected.get(frame.stream)! + frame.payload.length);
          // Not from within the frame: the pair of streams would hand the next one over at once.
          const credit = encodeFrame(FrameType.CREDIT, { stream: frame.stream, arg: frame.payload.length });
          setImmediate(() => guest.send(credit));
          if ((frame.flags & Flag.END) !== 0) done(guest, frame.stream);
        },
      },
      { features: [featureOf(stage)] },
    );
    function done(guest: Guest, stream: number): void {
      bytes.push(collected.get(stream)!);
      answer(guest, stream, {});
    }
    assert.equal((await edge.get('/a', { method: 'POST', body: 'small' })).status, 200);
    assert.equal((await edge.get('/a', { method: 'POST', body: Buffer.alloc(700_000, 'x') })).status, 200);
    assert.equal((await edge.get('/a', { method: 'POST', body: 'bad' })).status, 400);
    assert.deepEqual(
      [seen, bytes],
      [
        [5, 700_000, 3],
        [5, 700_000],
      ],
    );
    const declared = await edge.get('/a', { method: 'POST', body: Buffer.alloc(1_000_001) });
    assert.equal(declared.status, 413);
    const chunked = await edge.get('/a', { method: 'POST', body: Buffer.alloc(1_000_001), headers: { 'transfer-encoding': 'chunked' } });
    assert.equal(chunked.status, 413);
    assert.match(json(chunked.body)['error'] instanceof Object ? chunked.body.toString() : '', /1000000 bytes that the route/);
  });
}

test('an answer of a stage that cannot be sent is a 500 for its request alone', async () => {
  const stage: Stage = {
    onHead: ({ target }) => (target === '/bad' ? { status: 200, headers: ['x-bad', 'a\nb'], body: Buffer.from('x') } : undefined),
  };
  await using edge = await setUp({ onRequest: echo }, { features: [featureOf(stage)] });
  assert.equal((await edge.get('/bad')).status, 500);
  assert.equal((await edge.get('/fine')).status, 200);
});

test('a stage that throws is a 500 for its request alone', async () => {
  const stage: Stage = {
    onHead: ({ target }) => {
      if (target === '/throws') throw new Error('a mistake');
      if (target === '/rejects') return Promise.reject(new Error('a mistake'));
      return undefined;
    },
  };
  await using edge = await setUp({ onRequest: echo }, { features: [featureOf(stage)] });
  for (const path of ['/throws', '/rejects']) assert.equal((await edge.get(path)).status, 500);
  assert.equal((await edge.get('/fine')).status, 200);
});

test('a stage may change target and headers, and stand between the call and the client', async () => {
  const stage: Stage = {
    onHead: (request) => {
      request.target = '/elsewhere?y=2';
      request.headers.push('x-added', 'yes');
      return undefined;
    },
    around: (_request, sink): CallSink => ({
      bodyWanted: (call) => sink.bodyWanted(call),
      head: (_status, headers, body, end) => sink.head(299, headers, body, end),
      body: (chunk, end) => sink.body(chunk, end),
      failed: (error, headSent) => sink.failed(error, headSent),
    }),
  };
  await using edge = await setUp({ onRequest: echo }, { features: [featureOf(stage)] });
  const answered = await edge.get('/a?x=1');
  assert.equal(answered.status, 299);
  const { url, headers } = json(answered.body) as { url: string; headers: string[] };
  assert.equal(url, 'http://p.localhost/elsewhere?y=2');
  assert.equal(headers[headers.indexOf('x-added') + 1], 'yes');
});

test('a client that leaves while a stage waits: the function is not called, the stage hears of the end', async () => {
  const waiting = Promise.withResolvers<GatewayRequest>();
  const go = Promise.withResolvers<undefined>();
  const ended = Promise.withResolvers<void>();
  let calls = 0;
  const stage: Stage = {
    onHead: (request) => {
      waiting.resolve(request);
      return go.promise;
    },
    onEnd: () => ended.resolve(),
  };
  await using edge = await setUp({ onRequest: () => void calls++ }, { features: [featureOf(stage)] });
  const socket = connect(edge.port, '127.0.0.1');
  socket.write('GET /a HTTP/1.1\r\nhost: p.localhost\r\n\r\n');
  await waiting.promise;
  socket.destroy();
  await ended.promise;
  go.resolve(undefined);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(calls, 0);
});

test('a connection that asks for another protocol passes the stages too', async () => {
  const stage: Stage = { onHead: () => ({ error: new VirgaError('unauthorized', 'who are you?') }) };
  await using edge = await setUp({ onRequest: echo }, { features: [featureOf(stage)], settings: { runtime: 'web' } });
  const socket = connect(edge.port, '127.0.0.1');
  socket.write('GET /a HTTP/1.1\r\nhost: p.localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
  const [first] = (await once(socket, 'data')) as [Buffer];
  assert.match(first.toString(), /^HTTP\/1\.1 401 /);
  await once(socket, 'close');
});

test('what stands behind a stage that looks at the body waits for it: an answer from a cache, a target without a function', async () => {
  const signature: Stage = {
    bodyBytesMax: 1_000,
    onBody: (_request, body) => (body.toString() === 'signed' ? undefined : { error: new VirgaError('unauthorized', 'not signed') }),
  };
  const ended: string[] = [];
  const kept: Stage = {
    onHead: (request) => {
      if (request.target !== '/kept') request.target = '/rewritten';
      return request.target === '/kept' ? { status: 203, headers: [], body: Buffer.from('kept') } : undefined;
    },
    onEnd: (request) => void ended.push(request.target),
  };
  const routes: Route[] = [
    { path: '/moved', methods: null, redirect: { to: '/elsewhere' } },
    { path: '/{all+}', methods: null, function: 'f' },
  ];
  await using edge = await setUp({ onRequest: echo }, { features: [featureOf(signature), featureOf(kept)], routes });
  const status = async (path: string, body: string) => (await edge.get(path, { method: 'POST', body })).status;
  assert.deepEqual([await status('/kept', 'forged'), await status('/kept', 'signed')], [401, 203]);
  assert.deepEqual([await status('/moved', 'forged'), await status('/moved', 'signed')], [401, 302]);
  assert.equal((await edge.get('/kept')).status, 401, 'no body is looked at too');
  const called = await edge.get('/called', { method: 'POST', body: 'signed' });
  assert.equal(json(called.body)['url'], 'http://p.localhost/rewritten');
  assert.deepEqual(ended, ['/kept', '/rewritten', '/rewritten'], 'who had not begun hears of no end');
});
