// Black box: a program that serves HTTP, behind the real, bundled guest. What it answers that node:http would not (chunks cut
// anywhere, connections that break) comes from a server of raw sockets.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { FrameType, encodeFrame } from '../../../../protocol/frames.ts';
import { NODES, ScriptedHost } from '../../scripted-host.ts';
import type { Call } from '../../scripted-host.ts';

const SERVER = `
import http from 'node:http';
let connections = 0;
const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://x');
  if (pathname === '/hello') return response.end('hello');
  if (pathname === '/request') { let body = ''; for await (const chunk of request) body += chunk;
    return response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.rawHeaders, body })); }
  if (pathname === '/environment') return response.end(JSON.stringify({ ...process.env, cwd: process.cwd() }));
  if (pathname === '/connections') return response.end(String(connections));
  if (pathname === '/echo') return request.pipe(response);
  if (pathname === '/head') { response.writeHead(200, { 'content-length': 1234, 'x-own': 'a' }); return response.end(); }
  if (pathname === '/nothing') { response.writeHead(204, { 'x-own': 'b' }); return response.end(); }
  if (pathname === '/unmodified') { response.writeHead(304, { etag: '"1"' }); return response.end(); }
  if (pathname === '/hints') { response.writeEarlyHints({ link: '</a.css>; rel=preload' }); response.writeProcessing(); return response.end('after'); }
  if (pathname === '/headers') { response.writeHead(418, 'Teapot', [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['X-Latin', 'caf\\u00e9'], ['trailer', 'x-late']]); response.write('a'); response.addTrailers({ 'x-late': '1' }); return response.end('b'); }
  if (pathname === '/slow') { request.on('close', () => console.log('left')); response.write('begun'); return; }
  if (pathname === '/much') { const piece = Buffer.alloc(65536, 'x'); let n = 0; const more = () => { while (n < 512) { n++; if (!response.write(piece)) return response.once('drain', more); } response.end(); }; response.on('error', () => {}); globalThis.written = () => n; return more(); }
  if (pathname === '/written') return response.end(String(globalThis.written?.()));
  if (pathname === '/early') { response.end('enough'); return; }
  if (pathname === '/log') { console.log('to stdout'); console.error('to stderr'); process.stdout.write('half '); process.stdout.write('line\\n'); return response.end('logged'); }
  if (pathname === '/crash') { console.error('something broke'); process.exit(3); }
  if (pathname === '/killed') { process.kill(process.pid, 'SIGSEGV'); return; }
  if (request.method === 'POST' && pathname === '/') { let body = ''; for await (const chunk of request) body += chunk;
    const type = request.headers['ce-type'] ?? '';
    if (type.endsWith('.refused')) { response.writeHead(500); return response.end('no such thing'); }
    if (type.endsWith('.silent')) { response.writeHead(204); return response.end(); }
    response.setHeader('content-type', 'application/json'); return response.end(JSON.stringify({ headers: request.headers, body })); }
  response.writeHead(404); response.end();
});
server.on('connection', () => connections++);
server.listen(process.env.PORT);
process.on('SIGTERM', () => { console.log('told to stop'); server.close(() => { console.log('closed'); process.exit(0); }); server.closeAllConnections(); });
`;

/** Answers each request for /<name> with the pieces of that name, one write each. */
const RAW = `
import net from 'node:net';
const answers = {
  split: ['HTTP/1.1 20', '0 OK\\r\\nContent-Le', 'ngth: 5\\r\\n\\r', '\\nhel', 'lo'],
  chunks: ['HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n3', '\\r\\nabc\\r', '\\n2;ext=1\\r\\nde\\r\\n0\\r\\nx-trailer: 1\\r', '\\n\\r\\n'],
  close: ['HTTP/1.1 200 OK\\r\\n\\r\\nuntil', ' the end', null],
  old: ['HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nold', null],
  folded: ['HTTP/1.1 200 OK\\r\\nx-long: a\\r\\n b\\r\\ncontent-length: 0\\r\\n\\r\\n'],
  both: ['HTTP/1.1 200 OK\\r\\ncontent-length: 99\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n1\\r\\nx\\r\\n0\\r\\n\\r\\n'],
  short: ['HTTP/1.1 200 OK\\r\\ncontent-length: 10\\r\\n\\r\\nhalf', null],
  silent: [null],
  junk: ['220 mail.example.com ESMTP\\r\\n\\r\\n'],
  lengths: ['HTTP/1.1 200 OK\\r\\ncontent-length: 1\\r\\ncontent-length: 2\\r\\n\\r\\nxx'],
  switches: ['HTTP/1.1 101 Switching Protocols\\r\\nconnection: upgrade\\r\\nupgrade: x\\r\\n\\r\\n'],
  beyond: ['HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nokHTTP/1.1 200 OK\\r\\n\\r\\n'],
};
const seen = new Map();
net.createServer((socket) => {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', async (chunk) => {
    text += chunk.toString('latin1');
    if (!text.includes('\\r\\n\\r\\n')) return;
    const [, method, name] = /^(\\w+) \\/(\\w*)/.exec(text) ?? [];
    const head = text.slice(0, text.indexOf('\\r\\n\\r\\n'));
    text = '';
    const used = socket.used === true;
    socket.used = true;
    // Once, on a connection that was used before: closed as the request comes.
    if (name === 'stale' && used && !seen.has(method)) { seen.set(method, true); return socket.destroy(); }
    if (name === 'stale' || name === 'first') return socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok');
    if (name === 'upgrade') {
      if (!/upgrade: echo/i.test(head)) return socket.end('HTTP/1.1 426 Upgrade Required\\r\\ncontent-length: 0\\r\\n\\r\\n');
      socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\nready');
      socket.removeAllListeners('data');
      socket.on('data', (bytes) => socket.write(bytes));
      return;
    }
    for (const piece of answers[name]) { if (piece === null) socket.end(); else socket.write(piece); await new Promise((resolve) => setTimeout(resolve, 5)); }
  });
}).listen(process.env.PORT, '127.0.0.1');
`;

const FILES: Record<string, string> = {
  'server.mjs': SERVER,
  'raw.mjs': RAW,
  'ends.mjs': "console.log('on stdout'); console.error('cannot find the settings'); process.exit(7);",
  'elsewhere.mjs': "import http from 'node:http'; http.createServer().listen(0, '127.0.0.1', () => console.log('listening somewhere'));",
  'six.mjs': "import http from 'node:http'; http.createServer((_, r) => r.end('six')).listen(process.env.PORT, '::1');",
  'plain.txt': 'no program',
};

const NODE = NODES[0]!;

describe('programs that serve HTTP', { concurrency: true }, () => {
  let folder: string;
  let guest: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-guest-program-'));
    guest = join(folder, 'guest.cjs');
    const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
    await bundle.write({ file: guest, format: 'cjs', codeSplitting: false });
    await bundle.close();
    await mkdir(join(folder, 'code'));
    for (const [name, text] of Object.entries(FILES)) await writeFile(join(folder, 'code', name), text);
  });
  after(() => rm(folder, { recursive: true }));

  const boot = async (file: string, overrides: Parameters<ScriptedHost['init']>[2] = {}): Promise<ScriptedHost> => {
    const host = new ScriptedHost(NODE.binary, guest, { env: { PATH: `${dirname(NODE.binary)}:/usr/bin:/bin` } });
    await host.hello();
    try {
      const ready = await host.init(join(folder, 'code'), file, { form: 'web', runtime: 'web', ...overrides });
      assert.deepEqual(ready.exports, ['serve']);
    } catch (error) {
      await host.close();
      throw error;
    }
    return host;
  };
  /** Lets the program end as a host does, so that none is left. */
  const stop = async (host: ScriptedHost): Promise<void> => {
    host.write(encodeFrame(FrameType.STOP, {}));
    await host.exited;
  };

  describe('a server of node:http', { concurrency: 1 }, () => {
    let host: ScriptedHost;
    before(async () => (host = await boot('server.mjs')));
    after(() => stop(host));
    const get = (path: string): Promise<Call> => host.http(path).ended;

    test('a small answer is one frame', async () => {
      const call = await get('/hello');
      assert.equal(call.text, 'hello');
      assert.equal(call.meta!.status, 200);
      assert.equal(call.frameCount, 1);
      assert.deepEqual(call.header('content-length'), ['5']);
      assert.deepEqual(call.header('connection'), []);
    });

    test('the program sees the request as the client made it', async () => {
      const headers = ['host', 'tour.localhost:8080', 'x-twice', 'a', 'x-twice', 'b', 'x-latin', 'caf\u00e9', 'content-length', '4'];
      const call = await host.http('/request?a=1&b=%20c', { method: 'PUT', headers }, { body: 'body' }).ended;
      const { method, url, headers: seen, body } = JSON.parse(call.text) as Record<string, unknown>;
      assert.deepEqual([method, url, body], ['PUT', '/request?a=1&b=%20c', 'body']);
      assert.deepEqual(seen, headers);
    });

    test("its environment is Cloud Run's, with the function's own", async () => {
      const environment = JSON.parse((await get('/environment')).text) as Record<string, string>;
      const { K_SERVICE, K_REVISION, K_CONFIGURATION, GREETING, PORT, cwd } = environment;
      assert.deepEqual([K_SERVICE, K_REVISION, K_CONFIGURATION, GREETING], ['hello', 'hello-00003', 'hello', 'hi']);
      assert.match(PORT!, /^\d+$/);
      assert.equal(cwd, join(folder, 'code'));
    });

    test('connections are kept and used again', async () => {
      const before = Number((await get('/connections')).text);
      for (let n = 0; n < 5; n++) await get('/hello');
      assert.equal(Number((await get('/connections')).text), before);
    });

    test('many calls at once are answered each with its own answer', async () => {
      const calls = Array.from({ length: 64 }, (_, i) => host.http('/echo', { method: 'POST', headers: [] }, { body: `body ${i}` }).ended);
      for (const [i, call] of (await Promise.all(calls)).entries()) assert.equal(call.text, `body ${i}`);
    });

    test('a body of unknown length streams through in both directions at once', async () => {
      const call = host.http('/echo', { method: 'POST', headers: ['content-type', 'text/plain'] }, { streamed: true });
      call.send('first');
      await call.until(() => call.text === 'first');
      call.send(' second', false);
      await call.until(() => call.text === 'first second');
      call.send('', true);
      await call.ended;
    });

    test('a large body comes back whole, under credit', async () => {
      const call = host.http('/echo', { method: 'POST', headers: [] }, { streamed: true });
      const piece = Buffer.alloc(64 * 1024, 'y');
      for (let n = 0; n < 64; n++) {
        await call.until(() => call.credit >= piece.length);
        call.send(piece, n === 63);
      }
      await call.ended;
      assert.equal(call.bodyBytes, 4 * 1024 * 1024);
    });

    test('a client that reads slowly holds the program back', async () => {
      const call = host.http('/much', {}, { slow: true });
      await call.until(() => call.bodyBytes >= 256 * 1024);
      await new Promise((resolve) => setTimeout(resolve, 100));
      // What the sockets between take, and no more.
      assert.ok(Number((await get('/written')).text) < 512, 'the program wrote all though nobody read');
      assert.equal(call.bodyBytes, 256 * 1024);
      for (let n = 0; n < 128; n++) call.grant(256 * 1024);
      await call.ended;
      assert.equal(call.bodyBytes, 32 * 1024 * 1024);
    });

    test('answers without a body keep their headers', async () => {
      const head = await host.http('/head', { method: 'HEAD' }).ended;
      assert.deepEqual([head.text, head.header('content-length'), head.header('x-own')], ['', ['1234'], ['a']]);
      const nothing = await get('/nothing');
      assert.deepEqual([nothing.meta!.status, nothing.header('x-own')], [204, ['b']]);
      assert.deepEqual((await get('/unmodified')).header('etag'), ['"1"']);
      assert.equal((await get('/hello')).text, 'hello');
    });

    test('informational responses are passed over', async () => {
      const call = await get('/hints');
      assert.deepEqual([call.meta!.status, call.text], [200, 'after']);
    });

    test('status and headers arrive as they were, without those of the connection and without trailers', async () => {
      const call = await get('/headers');
      assert.deepEqual([call.meta!.status, call.text], [418, 'ab']);
      assert.deepEqual(call.header('set-cookie'), ['a=1', 'b=2']);
      assert.deepEqual(call.header('x-latin'), ['caf\u00e9']);
      for (const name of ['trailer', 'x-late', 'transfer-encoding', 'connection', 'keep-alive'])
        assert.deepEqual(call.header(name), [], name);
    });

    test('the program hears that the client left', async () => {
      const call = host.http('/slow');
      await call.until(() => call.text === 'begun');
      call.cancel();
      await host.log(({ text }) => text === 'left');
      await call.ended;
      assert.equal(call.error!.name, 'AbortError');
    });

    test('an answer that comes before the end of the request is the answer', async () => {
      const call = host.http('/early', { method: 'POST', headers: [] }, { streamed: true });
      call.send('some');
      await call.ended;
      assert.equal(call.text, 'enough');
      assert.equal((await get('/hello')).text, 'hello');
    });

    test('what it writes are log lines of the call that runs', async () => {
      const call = host.http('/log');
      await call.ended;
      assert.equal((await host.log(({ text }) => text === 'to stdout')).level, 'info');
      assert.equal((await host.log(({ text }) => text === 'to stderr')).level, 'error');
      await host.log(({ text }) => text === 'half line');
      const lines = host.logs.filter(({ text }) => /^to std|^half line$/.test(text));
      assert.deepEqual([...new Set(lines.map(({ stream }) => stream))], [call.stream]);
    });

    test('a CloudEvent is posted in binary mode, and its 2xx answer is the result', async () => {
      const event = {
        specversion: '1.0',
        id: 'a 1',
        source: '/é',
        type: 'x.y',
        subject: '100%',
        time: '2026-01-01T00:00:00Z',
        ext: 7,
        data: { a: [1] },
      };
      const call = await host.event(event, { contentType: 'application/cloudevents+json; charset=utf-8' }).ended;
      assert.equal(call.meta!.status, 200);
      const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
      assert.equal(body, '{"a":[1]}');
      assert.deepEqual(
        Object.fromEntries(
          Object.entries(headers).filter(([name]) => name.startsWith('ce-') || name === 'content-type' || name === 'host'),
        ),
        {
          'ce-specversion': '1.0',
          'ce-id': 'a%201',
          'ce-source': '/%C3%A9',
          'ce-type': 'x.y',
          'ce-subject': '100%25',
          'ce-time': '2026-01-01T00:00:00Z',
          'ce-ext': '7',
          'content-type': 'application/json',
          host: 'hello.internal',
        },
      );
    });

    test('data in base64 and data that is text are posted as what they are', async () => {
      const base = { specversion: '1.0', id: '1', source: '/', type: 't' };
      const of = async (event: object): Promise<string[]> => {
        const call = await host.event({ ...base, ...event }, { contentType: 'application/cloudevents+json' }).ended;
        const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
        return [headers['content-type'] ?? '', body];
      };
      assert.deepEqual(await of({ datacontenttype: 'text/plain', data: 'as it is' }), ['text/plain', 'as it is']);
      assert.deepEqual(await of({ datacontenttype: 'text/plain', data_base64: 'aGk=' }), ['text/plain', 'hi']);
      assert.deepEqual(await of({ data: 'quoted' }), ['application/json', '"quoted"']);
      assert.deepEqual(await of({}), ['', '']);
    });

    test('any other payload is posted as it is', async () => {
      const call = await host.event('a,b', { contentType: 'text/csv' }).ended;
      const { headers, body } = JSON.parse(call.text) as { headers: Record<string, string>; body: string };
      assert.deepEqual([headers['content-type'], body, headers['ce-id']], ['text/csv', 'a,b', undefined]);
    });

    test('an event that is refused is an error that names the status', async () => {
      const base = { specversion: '1.0', id: '1', source: '/' };
      const refused = await host.event({ ...base, type: 'x.refused' }, { contentType: 'application/cloudevents+json' }).ended;
      assert.equal(refused.error!.message, 'the program answered the event with status 500: no such thing');
      const silent = await host.event({ ...base, type: 'x.silent' }, { contentType: 'application/cloudevents+json' }).ended;
      assert.deepEqual([silent.meta!.status, silent.text], [200, '']);
    });
  });

  describe('a server of raw sockets', { concurrency: 1 }, () => {
    let host: ScriptedHost;
    before(async () => (host = await boot('raw.mjs', { command: [NODE.binary, 'raw.mjs'] })));
    after(() => stop(host));
    const get = (path: string, method = 'GET'): Promise<Call> => host.http(path, { method }).ended;

    for (const [name, text] of Object.entries({
      split: 'hello',
      chunks: 'abcde',
      close: 'until the end',
      old: 'old',
      both: 'x',
      beyond: 'ok',
      folded: '',
    })) {
      test(`an answer is read however it comes: ${name}`, async () => {
        const call = await get(`/${name}`);
        assert.deepEqual([call.error, call.meta?.status, call.text], [undefined, 200, text]);
        if (name === 'folded') assert.deepEqual(call.header('x-long'), ['a b']);
      });
    }

    for (const [name, message] of Object.entries({
      short: /ended the connection in the middle of its answer/,
      silent: /ended the connection before it had answered/,
      junk: /begins with '220 mail\.example\.com ESMTP', which is no HTTP\/1 response/,
      lengths: /two lengths, 1 and 2/,
      switches: /switches to another protocol \(101\)/,
    })) {
      test(`what is no answer is an error that says so: ${name}`, async () => {
        const call = await get(`/${name}`);
        assert.equal(call.error?.name, 'BadResponse');
        assert.match(call.error.message, message);
      });
    }

    test('a request that an idle connection lost is made again, if it may be', async () => {
      assert.equal((await get('/first')).text, 'ok');
      assert.equal((await get('/stale')).text, 'ok');
      assert.equal((await get('/first')).text, 'ok');
      assert.match((await get('/stale', 'POST')).error!.message, /before it had answered/);
    });

    test('a connection that is upgraded carries bytes both ways until the client ends it', async () => {
      const call = host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'echo'] }, { streamed: true });
      const { status, headers } = await call.head;
      assert.equal(status, 101);
      assert.deepEqual(headers, ['Connection', 'Upgrade', 'Upgrade', 'echo']);
      await call.until(() => call.text === 'ready');
      call.send(' steady');
      await call.until(() => call.text === 'ready steady');
      call.send(' go');
      await call.until(() => call.text === 'ready steady go');
      call.send('', true);
      await call.ended;
      assert.equal(call.error, undefined);
    });

    test('an upgrade that is refused is answered as any request', async () => {
      const call = await host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'other'] }, { streamed: true })
        .ended;
      assert.equal(call.meta!.status, 426);
    });

    test('a client that leaves an upgraded connection ends it', async () => {
      const call = host.http('/upgrade', { headers: ['host', 'x', 'connection', 'Upgrade', 'upgrade', 'echo'] }, { streamed: true });
      await call.until(() => call.text === 'ready');
      call.cancel();
      await call.ended;
      assert.equal(call.error!.name, 'AbortError');
    });
  });

  test('a program that ends in a call takes its instance along, with its code', async () => {
    const host = await boot('server.mjs');
    host.http('/crash');
    assert.deepEqual(await host.exited, { code: 3, signal: null });
    assert.deepEqual(
      host.logs.map(({ text }) => text),
      ['something broke', 'the program exited with code 3; the instance ends'],
    );
  });

  test('a program that a signal ends is told as a shell does', async () => {
    const host = await boot('server.mjs');
    host.http('/killed');
    assert.equal((await host.exited).code, 128 + 11);
  });

  test('the program hears SIGTERM before the end, and has time for it', async () => {
    const host = await boot('server.mjs');
    assert.equal((await host.http('/hello').ended).text, 'hello');
    host.write(encodeFrame(FrameType.STOP, {}));
    assert.deepEqual(await host.exited, { code: 0, signal: null });
    assert.deepEqual(
      host.logs.map(({ text }) => text),
      ['told to stop', 'closed'],
    );
  });

  test('a program that listens on ::1 alone is found there', async () => {
    const host = await boot('six.mjs');
    assert.equal((await host.http('/').ended).text, 'six');
    await stop(host);
  });

  test('a program that ends before it listens is a load error with its code and last words', async () => {
    await assert.rejects(
      boot('ends.mjs'),
      /the program '.*ends\.mjs' exited with code 7 before it listened on port \d+, the value of PORT\. It wrote last:\non stdout\ncannot find the settings/,
    );
  });

  test('a program that does not listen on PORT is a load error that names it', async () => {
    await assert.rejects(
      boot('elsewhere.mjs', { loadTimeoutMs: 1_500 }),
      /nothing accepts connections on port \d+: it must listen on the port that the environment variable PORT names.* It wrote last:\nlistening somewhere/,
    );
  });

  test('what cannot be started is a load error that says why', async () => {
    await assert.rejects(boot('plain.txt'), /'plain\.txt' is not executable/);
    await assert.rejects(boot('absent.mjs'), /there is no file 'absent\.mjs' in the function's code; set `command`/);
    await assert.rejects(boot('x', { command: ['no-such-program'] }), /'no-such-program' cannot be started: ENOENT/);
    await assert.rejects(
      boot('x', { command: ['/bin/sh', '-c', 'exec no-such-program'] }),
      /exited with code 127 .*a command that is not found/,
    );
    await assert.rejects(boot('server.mjs', { env: { PORT: 'http' } }), /PORT is 'http' in its environment; it must be a number/);
  });
});
