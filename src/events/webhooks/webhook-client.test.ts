// One POST: what a receiver may do to the connection, and which addresses are not reached. Against servers of its own.
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebhookClient } from './webhook-client.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';
/** What is answered, by path; `timer` goes on until the connection ends. */
const ANSWERS: Record<string, (socket: Socket, timer: (ms: number, run: () => void) => void) => void> = {
  '/ok': (socket) => socket.write(`${HEAD}content-length: 2\r\n\r\nok`),
  '/no-body': (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'),
  '/never-ends': (socket) => socket.write(`${HEAD}content-length: 100\r\n\r\nbegin`),
  '/drips': (socket, timer) => {
    socket.write(`${HEAD}content-length: 1000000\r\n\r\n`);
    timer(20, () => socket.write('x'));
  },
  '/endless': (socket, timer) => {
    socket.write(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    timer(1, () => socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`));
  },
  '/breaks-off': (socket) => socket.end(`${HEAD}content-length: 100\r\n\r\nbegin`),
  '/hints': (socket, timer) => timer(1, () => socket.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n')),
  '/silent': () => {},
  '/upgrades': (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  '/no-http': (socket) => socket.write('220 mail.example.com ESMTP\r\n'),
  '/headers': (socket, timer) => timer(1, () => socket.write(`${HEAD}${'x-a: b\r\n'.repeat(1_000)}`)),
};

describe('a POST to a webhook', () => {
  let server: Server;
  const open = new Set<Socket>();
  const client = new WebhookClient(['127.0.0.0/8']);
  let port = 0;
  before(async () => {
    server = createServer((socket) => {
      open.add(socket);
      const timers: NodeJS.Timeout[] = [];
      socket.on('error', () => {});
      socket.on('close', () => {
        open.delete(socket);
        timers.forEach(clearInterval);
      });
      socket.on('data', (data) => {
        const path = /^POST (\S+)/.exec(data.toString())?.[1];
        if (path !== undefined) ANSWERS[path]!(socket, (ms, run) => timers.push(setInterval(run, ms)));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    ({ port } = server.address() as AddressInfo);
  });
  after(async () => {
    client[Symbol.dispose]();
    await new Promise((resolve) => server.close(resolve));
  });

  const post = (path: string, { host = '127.0.0.2', timeoutMs = 5_000 } = {}) =>
    client.post({ url: `http://${host}:${port}${path}`, headers: {}, body: Buffer.from('{}'), timeoutMs, signal: AbortSignal.any([]) });

  test('an answer that does not come to an end is one, and holds no connection once it was heard', async () => {
    const statuses = await Promise.all(
      ['/ok', '/no-body', '/never-ends', '/drips', '/endless', '/breaks-off'].map(async (path) => (await post(path)).status),
    );
    assert.deepEqual(statuses, [200, 204, 200, 200, 200, 200]);
    await client.post({
      url: `http://127.0.0.3:${port}/ok`,
      headers: {},
      body: Buffer.alloc(0),
      timeoutMs: 5_000,
      signal: AbortSignal.any([]),
    });
    await gone(3);
    assert.equal(open.size, 3, 'those that can be used again');
  });

  test('what is no answer in time fails by then, and holds no connection either', async () => {
    const idle = open.size;
    for (const [path, timeoutMs, reason] of [
      ['/silent', 300, /did not answer within 300 ms/],
      ['/hints', 300, /did not answer within 300 ms/],
      ['/upgrades', 20_000, /no answer to a POST/],
      ['/no-http', 20_000, /Parse Error/],
      ['/headers', 20_000, /Header overflow|Parse Error/],
    ] as const)
      await assert.rejects(post(path, { timeoutMs }), reason, path);
    await gone(idle);
  });

  test('hundreds that do not answer make no other receiver wait, and of idle connections a bounded number is kept', async () => {
    const stop = new AbortController();
    const hanging = Array.from({ length: 300 }, () =>
      assert.rejects(
        client.post({ url: `http://127.0.0.9:${port}/silent`, headers: {}, body: Buffer.alloc(0), timeoutMs: 30_000, signal: stop.signal }),
      ),
    );
    for (let i = 0; i < 300; i++) {
      const host = `127.0.${1 + Math.floor(i / 200)}.${1 + (i % 200)}`;
      assert.equal((await post('/ok', { host, timeoutMs: 20_000 })).status, 200, `host ${i}`);
    }
    stop.abort();
    await Promise.all(hanging);
    await gone(256);
  });

  test('addresses that are not public are refused in every spelling', async () => {
    using closed = new WebhookClient([]);
    const hosts = [
      '127.0.0.1',
      '127.1',
      '2130706433',
      '0x7f.1',
      '0',
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:a9fe:a9fe]',
      'localhost',
    ];
    for (const host of hosts)
      for (const scheme of ['http', 'https'])
        await assert.rejects(
          closed.post({
            url: `${scheme}://${host}:${port}/ok`,
            headers: {},
            body: Buffer.alloc(0),
            timeoutMs: 2_000,
            signal: AbortSignal.any([]),
          }),
          /has the address .*VIRGA_WEBHOOKS_PRIVATE/,
          `${scheme}://${host}`,
        );
  });

  /** Until as many connections are left at most. */
  async function gone(count: number): Promise<void> {
    const until = Date.now() + 10_000;
    while (open.size > count && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(open.size <= count, `${open.size} connections are open, ${count} may be`);
  }
});
