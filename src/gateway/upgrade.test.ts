// Connections that ask for another protocol, over real sockets, with scripted guests behind the engine.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { Guest, GuestScript } from '../functions/testing.ts';
import { CREDIT_WINDOW, Flag, FrameType, encodeFrame, encodeMetaFrame } from '../protocol/frames.ts';
import type { HttpRequestMeta } from '../protocol/frames.ts';
import { setUp } from './gateway-under-test.ts';

const WEBSOCKET = [
  'host: p.localhost',
  'connection: keep-alive, Upgrade',
  'upgrade: websocket',
  'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version: 13',
];
const WEB = { settings: { runtime: 'web' as const } };

/** A client of raw bytes. */
class Client {
  readonly socket: Socket;
  text = '';
  closed = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      this.#wake();
    });
    this.socket.on('end', () => {
      this.closed = true;
      this.socket.end();
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  ask(headers: string[], path = '/chat?room=1', method = 'GET'): this {
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
    return this;
  }

  async until(reached: () => boolean): Promise<void> {
    while (!reached()) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  get body(): string {
    return this.text.slice(this.text.indexOf('\r\n\r\n') + 4);
  }
}

function accept(
  guest: Guest,
  stream: number,
  headers = ['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Accept', 'abc'],
): void {
  guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 101, headers }, undefined, { flags: 0, stream, arg: 0 }));
}

/** Takes the connection, and sends back what comes, under credit. */
function echoing(more: Partial<GuestScript> = {}): GuestScript {
  return {
    onRequest: (guest, stream) => accept(guest, stream),
    onFrame: (guest, frame) => {
      if (frame.type === FrameType.BODY) {
        guest.send(encodeFrame(FrameType.CREDIT, { stream: frame.stream, arg: frame.payload.length }));
        guest.send(encodeFrame(FrameType.BODY, { stream: frame.stream, flags: frame.flags, payload: frame.payload }));
      }
      if (frame.type === FrameType.CANCEL)
        guest.send(encodeFrame(FrameType.ERROR, { stream: frame.stream, payload: Buffer.from('{"name":"AbortError"}') }));
    },
    ...more,
  };
}

test('the handshake goes through as it is, then bytes both ways, until the client ends it', async () => {
  let seen: HttpRequestMeta | undefined;
  await using there = await setUp(
    echoing({
      onRequest: (guest, stream, meta) => {
        seen = meta as HttpRequestMeta;
        accept(guest, stream);
      },
    }),
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.text.includes('\r\n\r\n'));
  const [status, ...headers] = client.text.slice(0, client.text.indexOf('\r\n\r\n')).split('\r\n');
  assert.equal(status, 'HTTP/1.1 101 Switching Protocols');
  assert.deepEqual(headers.slice(0, 3), ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Accept: abc']);
  assert.deepEqual(
    headers.slice(3).map((line) => line.split(':')[0]),
    ['x-request-id', 'x-virga-invocation', 'server-timing'],
  );
  const headersSeen = seen!.headers.join('\n');
  for (const line of [
    'host\np.localhost',
    'upgrade\nwebsocket',
    'connection\nUpgrade',
    'sec-websocket-key\ndGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version\n13',
  ])
    assert.ok(headersSeen.includes(line), line);
  assert.equal(seen!.url, 'http://p.localhost/chat?room=1');
  client.socket.write('one');
  await client.until(() => client.body === 'one');
  client.socket.write(' two');
  await client.until(() => client.body === 'one two');
  client.socket.end(' three');
  await client.until(() => client.closed);
  assert.equal(client.body, 'one two three');
  const [record] = there.recorder.records;
  assert.deepEqual([record?.status, record?.outcome, record?.bytesIn, record?.bytesOut], [101, 'ok', 13, 13]);
});

test('what the program sends with its answer, and its end, reach the client', async () => {
  await using there = await setUp(
    {
      onRequest: (guest, stream) => {
        accept(guest, stream);
        guest.send(encodeFrame(FrameType.BODY, { stream, flags: Flag.END, payload: Buffer.from('goodbye') }));
      },
    },
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.equal(client.body, 'goodbye');
});

test('bytes that a client sends before the answer wait for it', async () => {
  await using there = await setUp(echoing(), WEB);
  const client = new Client(there.port).ask(WEBSOCKET);
  client.socket.write('early');
  await client.until(() => client.body === 'early');
});

test('another answer is that of a request, and ends the connection', async () => {
  await using there = await setUp(
    {
      onRequest: (guest, stream) => {
        const headers = ['content-type', 'text/plain', 'www-authenticate', 'Bearer'];
        guest.send(encodeMetaFrame(FrameType.RESPONSE, { status: 401, headers }, Buffer.from('who '), { flags: 0, stream, arg: 0 }));
        guest.send(encodeFrame(FrameType.BODY, { stream, flags: Flag.END, payload: Buffer.from('are you?') }));
      },
    },
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 401 Unauthorized\r\n/);
  assert.match(client.text, /www-authenticate: Bearer/);
  assert.match(client.text, /connection: close/i);
  assert.match(client.body, /who /);
  assert.match(client.body, /are you\?/);
});

test('a function of another runtime refuses WebSockets at once, and takes other upgrades for plain requests', async () => {
  await using there = await setUp({
    onRequest: (guest, stream, meta) => guest.answer(stream, (meta as HttpRequestMeta).headers.join(' ')),
  });
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 501 Not Implemented\r\n/);
  assert.match(
    client.body,
    /"code":"upgrade_not_supported","message":"function 'f' cannot take connections of the protocol 'websocket': its runtime is nodejs26/,
  );
  for (const protocol of ['h2c', 'irc/6.9']) {
    const other = new Client(there.port).ask([
      'host: p.localhost',
      'connection: Upgrade, HTTP2-Settings',
      `upgrade: ${protocol}`,
      'http2-settings: AA',
    ]);
    await other.until(() => other.body !== '' && other.text.startsWith('HTTP'));
    assert.match(other.text, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(other.body, /upgrade|http2-settings/);
    other.socket.destroy();
  }
});

test('a program is never asked for HTTP/2 or TLS, nor with a body', async () => {
  await using there = await setUp(
    { onRequest: (guest, stream, meta) => guest.answer(stream, (meta as HttpRequestMeta).headers.join(' ')) },
    WEB,
  );
  const bodied = [...WEBSOCKET.slice(0, 3), 'content-length: 2'];
  for (const [headers, body] of [
    [['host: p.localhost', 'connection: Upgrade', 'upgrade: h2c'], ''],
    [bodied, 'hi'],
  ] as const) {
    const client = new Client(there.port).ask([...headers]);
    client.socket.write(body);
    await client.until(() => client.text.includes('\r\n\r\n'));
    assert.match(client.text, /^HTTP\/1\.1 200 OK/);
    assert.doesNotMatch(client.body, /upgrade/);
    client.socket.destroy();
  }
});

test('a project, path or Host that does not exist is said on such a connection too', async () => {
  await using there = await setUp(echoing(), { ...WEB, routes: [{ path: '/a', methods: null, function: 'f' }] });
  const client = new Client(there.port).ask(WEBSOCKET, '/b');
  await client.until(() => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 404 Not Found[^]*"code":"route_not_found"/);
});

test('a client that does not read holds the program back', async () => {
  let granted = 0;
  let guest: Guest | undefined;
  let stream = 0;
  const piece = Buffer.alloc(64 * 1024);
  await using there = await setUp(
    {
      onRequest: (itself, its) => {
        guest = itself;
        stream = its;
        accept(itself, its);
        for (let n = 0; n < 4; n++) itself.send(encodeFrame(FrameType.BODY, { stream: its, payload: piece }));
      },
      onFrame: (itself, frame) => {
        if (frame.type !== FrameType.CREDIT) return;
        granted += frame.arg;
        for (let n = frame.arg; n > 0; n -= piece.length)
          itself.send(encodeFrame(FrameType.BODY, { stream: frame.stream, payload: piece.subarray(0, Math.min(n, piece.length)) }));
      },
    },
    WEB,
  );
  const client = new Client(there.port);
  client.socket.pause();
  client.ask(WEBSOCKET);
  let before = -1;
  while (before < granted || granted === 0) {
    before = granted;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  // The kernel's buffers took some; then it stood still.
  const stoodAt = granted;
  client.socket.resume();
  await client.until(() => granted > stoodAt + 4 * CREDIT_WINDOW);
  client.socket.destroy();
  assert.ok(guest !== undefined && stream > 0);
});

test('a program that does not read holds the client back', async () => {
  let received = 0;
  await using there = await setUp(
    {
      onRequest: (guest, stream) => accept(guest, stream),
      onFrame: (_, frame) => {
        if (frame.type === FrameType.BODY) received += frame.payload.length;
      },
    },
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.text.includes('\r\n\r\n'));
  for (let n = 0; n < 200; n++) client.socket.write(Buffer.alloc(64 * 1024));
  let before = -1;
  while (before < received || received === 0) {
    before = received;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(received <= CREDIT_WINDOW, `${received} bytes without credit`);
  assert.ok(client.socket.writableLength > 0);
  client.socket.destroy();
});

test('a client that leaves cancels the call', async () => {
  const cancelled = Promise.withResolvers<void>();
  await using there = await setUp(
    echoing({
      onFrame: (guest, frame) => {
        if (frame.type !== FrameType.CANCEL) return;
        guest.send(encodeFrame(FrameType.ERROR, { stream: frame.stream, payload: Buffer.from('{"name":"AbortError"}') }));
        cancelled.resolve();
      },
    }),
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.text.includes('\r\n\r\n'));
  client.socket.resetAndDestroy();
  await cancelled.promise;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const [record] = there.recorder.records;
  assert.deepEqual([record?.status, record?.outcome], [101, 'client_closed_request']);
});

test('the timeout of the function ends the connection, and the instance lives on', async () => {
  await using there = await setUp(echoing(), { settings: { runtime: 'web', timeoutMs: 200 } });
  const began = performance.now();
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.ok(performance.now() - began >= 190);
  const [record] = there.recorder.records;
  assert.deepEqual([record?.status, record?.outcome], [101, 'function_timeout']);
  assert.match(record!.error ?? '', /was closed at its timeout of 200 ms/);
  const again = new Client(there.port).ask(WEBSOCKET);
  await again.until(() => again.text.includes('\r\n\r\n'));
  assert.equal(there.sandboxes.guests.length, 1);
  again.socket.destroy();
});

test('a node that stops ends the connections, and begins no new ones', async () => {
  await using there = await setUp(echoing(), WEB);
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.text.includes('\r\n\r\n'));
  const waiting = new Client(there.port);
  await once(waiting.socket, 'connect');
  const began = performance.now();
  there.gateway.drain();
  await client.until(() => client.closed);
  assert.ok(performance.now() - began < 1_000);
  const [record] = there.recorder.records;
  assert.equal(record?.outcome, 'unavailable');
});

test('a connection that was upgraded is not idle, however long it is silent', async () => {
  await using there = await setUp(echoing(), { ...WEB, keepAliveMs: 80 });
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.text.includes('\r\n\r\n'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  client.socket.write('still');
  await client.until(() => client.body === 'still');
  client.socket.destroy();
});

test('a header of the answer that could break the protocol is an error before anything was sent', async () => {
  await using there = await setUp(
    { onRequest: (guest, stream) => accept(guest, stream, ['Connection', 'Upgrade', 'x-own', 'a\r\nset-cookie: stolen=1']) },
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 502 Bad Gateway\r\n/);
  assert.doesNotMatch(client.text, /stolen=1\r\n/);
});

test('a guest that switches the protocol of a request that did not ask breaks the protocol itself', async () => {
  await using there = await setUp({ onRequest: (guest, stream) => accept(guest, stream) }, WEB);
  const answer = await there.get('/x');
  assert.equal(answer.status, 502);
  assert.match(answer.body.toString(), /a RESPONSE with status 101/);
});

test('a guest that fails such a call is answered as any', async () => {
  await using there = await setUp(
    {
      onRequest: (guest, stream) =>
        guest.send(encodeFrame(FrameType.ERROR, { stream, payload: Buffer.from('{"name":"Error","message":"no"}') })),
    },
    WEB,
  );
  const client = new Client(there.port).ask(WEBSOCKET);
  await client.until(() => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 502 Bad Gateway[^]*"code":"function_error"/);
});
