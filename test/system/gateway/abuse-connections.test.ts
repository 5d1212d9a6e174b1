// Connections that are slow, greedy or gone, and answers of functions that would say more than one thing: every one concludes,
// and nothing of it stays in the edge.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { eventually } from '../virga.ts';
import { CHUNKED, GET, HOST, LAST, POST } from './abuse/case.ts';
import { exchange } from './abuse/raw-client.ts';
import { memoryOf, startTarget } from './abuse/target.ts';
import type { Target } from './abuse/target.ts';

let target: Target;
before(async () => {
  target = await startTarget();
});
after(() => target[Symbol.asyncDispose]());

const statusesOf = async (pieces: (string | Buffer)[], options: { halfClose?: boolean } = {}) =>
  (await exchange(target.port, pieces, options)).answers.map(({ status }) => status);

test('a request that comes byte by byte is a request', async () => {
  const body = `5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n`;
  const bytes = `${POST}${CHUNKED}\r\n${body}${LAST}`.split('');
  await target.seen();
  assert.deepEqual(await statusesOf(bytes), [200, 200]);
  const posts = (await target.seen()).filter(({ method }) => method === 'POST');
  assert.deepEqual(
    posts.map(({ body: text }) => text),
    ['hello'],
  );
});

test('pipelined requests are answered in their order, as many as come', async () => {
  const requests = Array.from({ length: 200 }, (_, i) => `GET /one/${i} HTTP/1.1\r\n${HOST}\r\n`);
  const { answers } = await exchange(target.port, [requests.join('') + LAST]);
  assert.deepEqual(
    answers.slice(0, 200).map(({ body }) => body),
    requests.map((_, i) => `ok GET /one/${i}`),
  );
});

test('what follows a refusal on its connection reaches nobody, in the same packet or a later one', async () => {
  await target.seen();
  const bad = `${POST}Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n`;
  const smuggled = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
  assert.deepEqual(await statusesOf([bad + smuggled.repeat(50)]), [400]);
  assert.deepEqual(await statusesOf([bad, smuggled, smuggled]), [400]);
  assert.deepEqual(await statusesOf([`${GET}\r\n${bad}${smuggled}`]), [200, 400]);
  assert.deepEqual(
    (await target.seen()).map(({ target: path }) => path),
    ['/echo'],
  );
});

for (const [what, status, head, more] of [
  ['a request that is framed twice', 400, `${POST}Transfer-Encoding: x, chunked\r\n\r\n`, `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`],
  ['what is no request', 400, `GET / HTTP/one\r\n${HOST}\r\n`, `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`],
  ['a body that is too large', 413, `${POST}Content-Length: 99999999999\r\n\r\n`, 'x'.repeat(100_000)],
] as const) {
  test(`the refusal of ${what} reaches a client that goes on sending: its connection is not reset`, async () => {
    const socket = connect({ port: target.port, host: '127.0.0.1', allowHalfOpen: true });
    const closed = once(socket, 'close');
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      resolve();
    });
    socket.write(head);
    await answered;
    for (let n = 0; n < 5; n++) {
      await new Promise<void>((sent) => socket.write(more, () => sent()));
      await target.works();
    }
    socket.end();
    // Rejects when it was reset.
    await closed;
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.equal(text.match(/HTTP\/1\.1 \d/g)!.length, 1);
  });
}

test('a client that leaves takes its calls along, those too that wait behind another', async () => {
  const hang = `GET /hang HTTP/1.1\r\n${HOST}\r\n`;
  for (const [leave, count] of [
    ['end', 1],
    ['destroy', 1],
    ['destroy', 10],
    ['end', 10],
  ] as const) {
    const socket = connect(target.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(hang.repeat(count));
    await eventually(async () => ((await target.underWay()) === count ? true : undefined));
    const closed = once(socket, 'close');
    socket[leave]();
    socket.resume();
    await closed;
    await target.clean();
  }
});

test('connections that say nothing, or little, cost nothing once they are gone', async () => {
  const sockets = Array.from({ length: 300 }, (_, i) => {
    const socket = connect(target.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(['', 'G', GET, `${POST}Content-Length: 100\r\n\r\nabc`, `POST /hang HTTP/1.1\r\n${HOST}${CHUNKED}\r\n5`][i % 5]!);
    return socket;
  });
  await Promise.all(sockets.map(async (socket) => (socket.connecting ? await once(socket, 'connect') : undefined)));
  await target.works();
  for (const [i, socket] of sockets.entries())
    if (i % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  await target.clean();
});

test('thousands of refused requests leave no memory behind', async () => {
  const [edge] = target.virga.pids()['edge']!;
  const refused = [
    `${POST}Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n`,
    `${GET}X: ${'a'.repeat(20_000)}\0\r\n\r\n`,
    `GET /rest/%2e%2e/${'a'.repeat(2_000)} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
  ];
  const round = async (times: number) => {
    for (let i = 0; i < times; i++) await Promise.all(refused.flatMap((one) => [statusesOf([one]), statusesOf([one])]));
  };
  await round(100);
  const warm = memoryOf(edge!);
  await round(300);
  const grown = memoryOf(edge!) - warm;
  assert.ok(grown < 40, `${grown.toFixed(1)} MiB for 1,800 refused requests`);
  await target.clean();
});

test('no header of a function is more than one header', async () => {
  const answerWith = async (answer: object) => {
    const body = JSON.stringify(answer);
    const request = `POST /raw HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const { answers, rest } = await exchange(target.port, [request, Buffer.from(body)]);
    assert.deepEqual([answers.length, rest], [1, '']);
    return answers[0]!;
  };
  assert.equal((await answerWith({ headers: { 'x-a': 'b' }, body: 'made' })).headers.get('x-a'), 'b');
  const bad: [string, string][] = [
    ['x-a', 'b\r\nset-cookie: evil=1'],
    ['x-a', 'b\nset-cookie: evil=1'],
    ['x-a', 'b\rset-cookie: evil=1'],
    ['x-a', 'b\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0'],
    ['x-a', 'b\0'],
    ['location', '/\r\nset-cookie: evil=1'],
    ['set-cookie', 'a=b\r\nx-b: c'],
    ['x-a\r\nset-cookie', 'evil=1'],
    ['x-a: b\r\nset-cookie', 'evil=1'],
    ['x a', 'b'],
    ['', 'b'],
    ['x-a', 'snow \u2603'],
  ];
  for (const [name, value] of bad) {
    const { status, headers, body } = await answerWith({ headers: { [name]: value }, body: 'made' });
    const shown = JSON.stringify([name, value, status, [...headers], body]);
    assert.equal(headers.get('set-cookie'), undefined, shown);
    assert.equal(headers.get('x-b'), undefined, shown);
    assert.ok(status === 502 || (status === 200 && body === 'made'), shown);
    assert.ok(![...headers.values()].some((text) => /[\r\n\0]/.test(text)), shown);
  }
  const cookies = await answerWith({ cookies: ['a=b\r\nx-b: c'], body: 'made' });
  assert.deepEqual([cookies.status, cookies.headers.get('x-b')], [502, undefined]);
  // Headers that would frame the answer differently are ours alone.
  for (const [name, value] of [
    ['content-length', '1'],
    ['content-length', '1000'],
    ['transfer-encoding', 'chunked'],
    ['connection', 'x-request-id, upgrade'],
  ] as const) {
    const { status, body, headers } = await answerWith({ headers: { [name]: value }, body: 'made' });
    assert.deepEqual([status, body, headers.get('content-length')], [200, 'made', '4'], name);
    assert.ok(headers.get('x-request-id')?.startsWith('inv_'));
  }
});

test('a redirect cannot be made to say more than where to', async () => {
  const locationOf = async (path: string) => {
    const { answers } = await exchange(target.port, [`GET ${path} HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`]);
    assert.equal(answers.length, 1);
    assert.equal(answers[0]!.headers.get('set-cookie'), undefined);
    return [answers[0]!.status, answers[0]!.headers.get('location')];
  };
  const [status, plain] = await locationOf('/away/home');
  assert.ok([301, 302, 307, 308].includes(Number(status)), String(status));
  assert.equal(plain, 'https://example.com/home');
  assert.deepEqual(await locationOf('/away/a%0d%0aset-cookie:x'), [400, undefined]);
  assert.deepEqual(await locationOf('/away/%2fevil.example'), [400, undefined]);
  const [, odd] = await locationOf('/away/a%3f%23@b');
  assert.match(String(odd), /^https:\/\/example\.com\/a%3F%23(@|%40)b$/i);
});
