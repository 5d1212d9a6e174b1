// HTTP/1.1 over a real connection, as programs write it: in any pieces, in a row, with bodies of each kind, and wrong.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { HttpConnection } from './http-exchange.ts';
import type { Exchange, Headers } from './http-exchange.ts';

const ECHO = 'Content-Type: text/plain\r\n';

describe('requests of a program', () => {
  let server: Server;
  let onExchange: (exchange: Exchange) => void;
  const seen: string[] = [];
  const clients: Socket[] = [];
  before(async () => {
    server = createServer({ pauseOnConnect: true }, (socket) => new HttpConnection(socket, (exchange) => onExchange(exchange)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    for (const client of clients) client.destroy();
    server.close();
  });

  /** Answers with what came: method, path, body, trailers. */
  function echo(exchange: Exchange): void {
    const chunks: Buffer[] = [];
    exchange.reader = {
      chunk: (chunk) => void chunks.push(chunk),
      end: (trailers: Headers) => {
        const text = `${exchange.method} ${exchange.path} ${exchange.headers['x-a'] ?? ''} [${Buffer.concat(chunks).toString()}] ${JSON.stringify(trailers)}`;
        seen.push(text);
        exchange.answer(200, ECHO, Buffer.from(text));
      },
      broken: () => void seen.push('broken'),
    };
  }

  function open(): Socket {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.setNoDelay(true).setEncoding('latin1');
    clients.push(socket);
    return socket;
  }

  /** All that comes until `count` answers are there, or the end. */
  async function answersOf(socket: Socket, count: number): Promise<string[]> {
    let text = '';
    for await (const chunk of socket) {
      text += chunk as string;
      const answers = split(text);
      if (answers.length >= count) return answers;
    }
    return split(text);
  }

  function split(text: string): string[] {
    const bodies: string[] = [];
    for (let rest = text; ;) {
      const end = rest.indexOf('\r\n\r\n');
      if (end === -1) return bodies;
      const length = Number(/content-length: (\d+)/i.exec(rest.slice(0, end))?.[1] ?? 0);
      if (rest.length < end + 4 + length) return bodies;
      const status = rest.slice(9, 12);
      bodies.push(status === '200' ? rest.slice(end + 4, end + 4 + length) : `${status} ${rest.slice(end + 4, end + 4 + length)}`.trim());
      rest = rest.slice(end + 4 + length);
    }
  }

  const REQUESTS =
    'GET /one?q=1 HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n' +
    'POST http://127.0.0.1:9001/two HTTP/1.1\r\ncontent-length:  4 \r\nX-A: c\r\nx-a: d\r\n\r\nbody' +
    'POST /three HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\nT: u\r\nV:\r\n\r\n' +
    'POST /four HTTP/1.1\r\nContent-Length: 0\r\n\r\n';
  const ANSWERS = [
    'GET /one?q=1 b [] {}',
    'POST /two c, d [body] {}',
    'POST /three  [abc0123456789] {"t":"u","v":""}',
    'POST /four  [] {}',
  ];

  test('one after the other in one piece, and byte by byte', async () => {
    onExchange = echo;
    const whole = open();
    whole.write(REQUESTS);
    assert.deepEqual(await answersOf(whole, 4), ANSWERS);
    const bytes = open();
    void (async () => {
      for (const byte of REQUESTS) {
        bytes.write(byte);
        await new Promise(setImmediate);
      }
    })();
    assert.deepEqual(await answersOf(bytes, 4), ANSWERS);
  });

  test('headers may be those of the request before, or others', async () => {
    onExchange = echo;
    const socket = open();
    const post = (path: string, headers: string, body: string): string => `POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n${body}`;
    const get = (path: string, headers: string): string => `GET ${path} HTTP/1.1${headers}\r\n\r\n`;
    const [first, second] = ['X-A: b\r\nContent-Length: 2', 'X-A: c\r\nContent-Length: 1'];
    socket.write(get('/1', '\r\nX-A: d') + post('/2', first, 'ok') + get('/3', '\r\nX-A: d') + post('/4', first, 'no'));
    socket.write(post('/5', second, '!') + get('/6', '') + post('/7', first, 'so') + get('/8', '\r\nX-A: e'));
    assert.deepEqual(await answersOf(socket, 8), [
      'GET /1 d [] {}',
      'POST /2 b [ok] {}',
      'GET /3 d [] {}',
      'POST /4 b [no] {}',
      'POST /5 c [!] {}',
      'GET /6  [] {}',
      'POST /7 b [so] {}',
      'GET /8 e [] {}',
    ]);
  });

  test('the next is looked at once this one is answered', async () => {
    const exchanges: Exchange[] = [];
    const came = Promise.withResolvers<void>();
    onExchange = (exchange) => {
      exchanges.push(exchange);
      if (exchange.path === '/first') setTimeout(came.resolve, 20);
      else echo(exchange);
    };
    const socket = open();
    socket.write('GET /first HTTP/1.1\r\n\r\nGET /second HTTP/1.1\r\n\r\n');
    await came.promise;
    assert.equal(exchanges.length, 1);
    exchanges[0]!.answer(200, ECHO, Buffer.from('late'));
    exchanges[0]!.answer(200, ECHO, Buffer.from('twice'));
    assert.deepEqual(await answersOf(socket, 2), ['late', 'GET /second  [] {}']);
  });

  test('an answer before the body has come leaves the connection in order', async () => {
    onExchange = (exchange) => (exchange.path === '/refused' ? exchange.answer(403, ECHO, Buffer.from('no')) : echo(exchange));
    const socket = open();
    socket.write('POST /refused HTTP/1.1\r\nContent-Length: 10\r\n\r\n01234');
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.write('56789GET /next HTTP/1.1\r\n\r\n');
    assert.deepEqual(await answersOf(socket, 2), ['403 no', 'GET /next  [] {}']);
  });

  test('HTTP/1.0 and Connection: close end with their answer; Expect is answered', async () => {
    onExchange = echo;
    for (const request of ['GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'GET /a HTTP/1.1\r\nConnection: Close\r\n\r\n']) {
      const socket = open();
      socket.write(request);
      assert.deepEqual(await answersOf(socket, 9), ['GET /a  [] {}']);
    }
    const socket = open();
    socket.write('POST /b HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n');
    const [first] = (await once(socket, 'data')) as [string];
    assert.equal(first, 'HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('ok');
    assert.deepEqual(await answersOf(socket, 1), ['POST /b  [ok] {}']);
  });

  test('a body comes as fast as its reader takes it', async () => {
    const gates: (() => void)[] = [];
    let bytes = 0;
    const ended = Promise.withResolvers<void>();
    onExchange = (exchange) => {
      exchange.reader = {
        chunk(chunk) {
          bytes += chunk.length;
          return new Promise((resolve) => gates.push(resolve));
        },
        end: () => {
          exchange.answer(200, ECHO, Buffer.from(String(bytes)));
          ended.resolve();
        },
        broken: () => {},
      };
    };
    const socket = open();
    const size = 32 * 1024 * 1024;
    socket.write(`POST /large HTTP/1.1\r\nContent-Length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size));
    while (gates.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(gates.length, 1);
    assert.ok(bytes <= 64 * 1024, String(bytes));
    const opening = setInterval(() => {
      for (const gate of gates.splice(0)) gate();
    }, 0);
    await ended.promise;
    clearInterval(opening);
    assert.equal(bytes, size);
  });

  test('an end in the middle is told to who reads, or to who would answer', async () => {
    seen.length = 0;
    onExchange = echo;
    const socket = open();
    socket.write('POST /broken HTTP/1.1\r\nContent-Length: 10\r\n\r\n01234');
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(seen, ['broken']);
    const gone = Promise.withResolvers<string>();
    onExchange = (exchange) => (exchange.onGone = () => gone.resolve(exchange.path));
    const waiting = open();
    waiting.write('GET /waits HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 20));
    waiting.end();
    assert.equal(await gone.promise, '/waits');
  });

  for (const [name, request, said] of [
    ['another protocol', '\x16\x03\x01\x02\r\n\r\n', /it begins with/],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /it begins with 'PRI \* HTTP\/2\.0'/],
    ['a header without a name', 'GET / HTTP/1.1\r\nno header\r\n\r\n', /it has a header 'no header'/],
    ['a length that is none', 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', /it has a length '-1'/],
    ['a chunk size that is none', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n', /it has a length 'xyz'/],
    ['a chunk that is longer', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n', /longer than its size/],
    ['another encoding', 'POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', /transfer-encoding is 'gzip'/],
    ['a head without an end', `GET / HTTP/1.1\r\nx: ${'y'.repeat(2_200_000)}`, /head has more than 2097152 bytes/],
  ] as const) {
    test(`${name} is answered 400, and the connection ends`, async () => {
      onExchange = echo;
      const socket = open();
      socket.on('error', () => {});
      socket.write(request, 'latin1');
      const [answer = ''] = await answersOf(socket, 9);
      assert.match(answer, /^400 /);
      assert.match(JSON.parse(answer.slice(4)).errorMessage as string, said);
    });
  }
});
