// Black box: WebAssembly programs in the real, bundled guest. `probe/` is one program whose paths exercise what WASI gives.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rolldown } from 'rolldown';
import { NODES, ScriptedHost } from '../../scripted-host.ts';
import type { Call, CallOptions } from '../../scripted-host.ts';
import { moduleBytes } from './testing-module.ts';

/** The runtime boots Node 26 alone. */
const NODE = NODES[0]!.binary;
const LIST_FILES = 300;

describe('WebAssembly programs', { concurrency: false }, () => {
  let folder: string;
  let guest: string;
  let host: ScriptedHost;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'virga-wasm-'));
    guest = join(folder, 'guest', 'guest.cjs');
    const bundle = await rolldown({ input: join(import.meta.dirname, '../../guest.ts'), platform: 'node' });
    await bundle.write({ dir: join(folder, 'guest'), format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: 'guest-[name].cjs' });
    const code = join(folder, 'code');
    await mkdir(join(code, 'many'), { recursive: true });
    await cp(join(import.meta.dirname, 'probe/probe.wasm'), join(code, 'probe.wasm'));
    await writeFile(join(code, 'greeting.txt'), 'hello, file\n');
    for (let i = 0; i < LIST_FILES; i++) await writeFile(join(code, 'many', `f${i}`), '');
    host = await started('probe.wasm');
  });
  after(async () => {
    await host.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function started(handler: string): Promise<ScriptedHost> {
    const made = new ScriptedHost(NODE, guest);
    await made.hello();
    await made.init(join(folder, 'code'), handler, { form: 'wasm', runtime: 'wasm', env: { GREETING: 'hi', EMPTY: '' } });
    return made;
  }

  function call(path: string, options: CallOptions = {}, headers: string[] = [], method = 'POST'): Call {
    return host.http(
      `/p${path}`,
      { route: '/p/{rest+}', params: {}, method, headers: ['Host', 'tour.localhost:8080', ...headers] },
      options,
    );
  }

  async function text(path: string): Promise<string> {
    const ended = await call(path).ended;
    assert.equal(ended.error, undefined, ended.error?.message ?? '');
    return ended.text;
  }

  test('the request is in the environment and the arguments', async () => {
    const headers = [
      'X-Own',
      'a',
      'x-own',
      'b',
      'Content-Type',
      'text/csv',
      'Content-Length',
      '2',
      'Proxy',
      'evil',
      'Cookie',
      'a=1',
      'Cookie',
      'b=2',
    ];
    const lines = (await call('/env?name=Ada%20L&x', { body: 'hi' }, headers).ended).text.trim().split('\n');
    const pairs = lines
      .filter((line) => !line.startsWith('arg '))
      .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
    const variables: Record<string, string> = Object.fromEntries(pairs);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('arg ')),
      ['arg /p', 'arg name=Ada L', 'arg x'],
    );
    const { VIRGA_INVOCATION_ID: id, TRACEPARENT: trace, ...rest } = variables;
    assert.match(`${id} ${trace}`, /^inv_\d+ 00-/);
    assert.deepEqual(rest, {
      GREETING: 'hi',
      EMPTY: '',
      GATEWAY_INTERFACE: 'CGI/1.1',
      SERVER_SOFTWARE: 'Virga',
      SERVER_PROTOCOL: 'HTTP/1.1',
      SERVER_NAME: 'tour.localhost',
      SERVER_PORT: '8080',
      REQUEST_METHOD: 'POST',
      REQUEST_URI: '/p/env?name=Ada%20L&x',
      SCRIPT_NAME: '/p',
      PATH_INFO: '/env',
      PATH_TRANSLATED: '/env',
      QUERY_STRING: 'name=Ada%20L&x',
      REMOTE_ADDR: '127.0.0.1',
      REMOTE_HOST: '127.0.0.1',
      REMOTE_USER: '',
      AUTH_TYPE: '',
      CONTENT_TYPE: 'text/csv',
      CONTENT_LENGTH: '2',
      X_FULL_URL: 'http://tour.localhost:8080/p/env?name=Ada%20L&x',
      X_RAW_PATH_INFO: '/env',
      X_MATCHED_ROUTE: '/p/{rest+}',
      HTTP_HOST: 'tour.localhost:8080',
      HTTP_X_OWN: 'a, b',
      HTTP_COOKIE: 'a=1; b=2',
    });
  });

  test('a body goes in on stdin and out on stdout, also when it streams', async () => {
    const whole = await call('/echo', { body: 'hello' }, ['Content-Type', 'text/x-own']).ended;
    assert.equal(whole.text, 'hello');
    assert.deepEqual(whole.header('content-type'), ['text/x-own']);
    assert.equal(whole.frameCount, 1, 'a small answer is one frame');
    const streamed = call('/echo', { streamed: true });
    streamed.send('one,');
    await streamed.until(() => streamed.text === 'one,');
    streamed.send('two', true);
    assert.equal((await streamed.ended).text, 'one,two');
  });

  test('a body of two megabytes waits for credit on its way out', async () => {
    const large = call('/large', { slow: true });
    await large.until(() => large.bodyBytes === 256 * 1024);
    assert.equal(await text('/calls'), '1', 'others go on meanwhile');
    large.grant(4 * 1024 * 1024);
    const all = (await large.ended).body;
    assert.equal(all.length, 2_000_000);
    assert.equal(all[1_999_999], 97 + (1_999_999 % 26));
  });

  test('status, headers and redirection are CGI’s', async () => {
    const status = await call('/status').ended;
    assert.deepEqual(
      [status.meta!.status, status.text, status.header('x-own'), status.header('status')],
      [404, 'not here', ['1', '2'], []],
    );
    const location = await call('/location').ended;
    assert.deepEqual([location.meta!.status, location.header('location')], [302, ['https://example.com/']]);
    const head = await call('/status', {}, [], 'HEAD').ended;
    assert.deepEqual([head.meta!.status, head.text], [404, '']);
  });

  test('each call has an instance of its own, and what it writes to stderr is its log', async () => {
    assert.deepEqual([await text('/calls'), await text('/calls')], ['1', '1']);
    const third = call('/calls');
    await third.ended;
    assert.deepEqual(
      host.logs.filter(({ stream }) => stream === third.stream),
      [{ stream: third.stream, level: 'info', text: 'call 1 of /calls' }],
    );
  });

  test('the code folder can be read, /tmp be written, and nothing else be reached', async () => {
    const lines = (await text('/files')).trim().split('\n');
    assert.deepEqual(lines, [
      'own: hello, file',
      'size: 12',
      'write own: Read-only file system',
      'create own: Read-only file system',
      'remove own: Read-only file system',
      'out: Capabilities insufficient',
      'link out: No such file or directory',
      'missing: No such file or directory',
      'scratch: ok',
      'read back: 456',
      'appended: 11',
      'rename: ok',
      'mkdir: ok',
      'rmdir: ok',
      'symlink: ok',
      'through link: ok',
      'unlink: ok',
      'too many: No file descriptors available',
    ]);
    assert.equal(await text('/list'), `${LIST_FILES} files\n`);
  });

  test('clocks, sleep and randomness', async () => {
    const [time = '', random] = (await text('/clocks')).split('\n');
    const [wall, slept] = time.split(' ');
    assert.ok(Math.abs(Number(wall) - Date.now()) < 5_000);
    assert.deepEqual([slept, random], ['1', '1']);
  });

  test('what is written before a sleep is on its way meanwhile', async () => {
    const drip = call('/drip');
    await drip.until(() => drip.text === 'drop 0\n');
    assert.equal((await drip.ended).text, 'drop 0\ndrop 1\ndrop 2\n');
    assert.ok(drip.frameCount >= 3);
  });

  test('a program polls its stdin, with a time or until there is something', async () => {
    const wait = call('/wait', { streamed: true });
    await wait.until(() => wait.text === 'early: 0\n');
    wait.send('now', true);
    assert.equal((await wait.ended).text, 'early: 0\nlate: 1 now\n');
  });

  test('events: payload on stdin, attributes as CE_ variables, stdout is the result', async () => {
    const raw = await host.event({ a: 1 }).ended;
    assert.deepEqual(JSON.parse(raw.text), { type: '', subject: '', contentType: 'application/json', bytes: '7', data: { a: 1 } });
    assert.deepEqual(raw.header('content-type'), ['application/json']);
    const event = {
      specversion: '1.0',
      id: 'e1',
      source: '/s',
      type: 'virga.schedule.due',
      subject: 'nightly',
      data: { schedule: 'nightly' },
    };
    const cloud = await host.event(event, { contentType: 'application/cloudevents+json' }).ended;
    assert.deepEqual(JSON.parse(cloud.text), {
      type: 'virga.schedule.due',
      subject: 'nightly',
      contentType: 'application/json',
      bytes: '22',
      data: { schedule: 'nightly' },
    });
    assert.equal((await host.event('"nothing"').ended).text, 'null');
    const plain = await host.event('"plain"').ended;
    assert.deepEqual([plain.text, plain.header('content-type')], ['plain text\n', ['text/plain;charset=UTF-8']]);
    const wrong = await host.event({ a: 1 }, { contentType: 'application/cloudevents+json' }).ended;
    assert.match(wrong.error!.message, /the payload is no CloudEvent/);
  });

  test('an answer that is none names what is missing', async () => {
    const failure = async (path: string): Promise<string> => {
      const { error } = await call(path).ended;
      return `${error?.name}: ${error?.message}`;
    };
    assert.match(await failure('/no-head'), /^BadResponse: its stdout begins with 'hello there', which is no header; print/);
    assert.match(await failure('/silent'), /^BadResponse: it ended without a word on stdout/);
    assert.match(await failure('/untyped'), /^BadResponse: its headers have none of Content-Type, Location and Status/);
    assert.match(await failure('/bad-status'), /^BadResponse: its Status is 'many'; expected a number/);
  });

  test('a program that exits with another code than 0, or traps, fails, whatever it had written', async () => {
    const exit = call('/exit');
    assert.match((await exit.ended).error!.message, /^the program exited with 3/);
    assert.equal(exit.meta, undefined);
    assert.ok(host.logs.some(({ stream, text: line }) => stream === exit.stream && line === 'no such note'));
    const { error: trap } = await call('/trap').ended;
    assert.equal(trap!.name, 'RuntimeError');
    assert.match(trap!.message, /unreachable/);
    assert.match(trap!.stack, /^RuntimeError: unreachable\n\s+at .*wasm/);
    assert.doesNotMatch(trap!.stack, /guest/);
    const { error: deep } = await call('/overflow').ended;
    assert.match(deep!.message, /call stack|out of bounds/i);
    const late = await call('/late-exit').ended;
    assert.deepEqual([late.text, late.error!.message.slice(0, 25)], ['half', 'the program exited with 4']);
    assert.equal(await text('/calls'), '1');
  });

  test('a client that leaves ends a program that waits or writes', async () => {
    for (const path of ['/wait', '/write-forever']) {
      const left = call(path, { streamed: true, slow: true });
      await left.head;
      left.cancel();
      assert.equal((await left.ended).error!.name, 'AbortError');
    }
  });

  test('programs wait beside each other', async () => {
    const calls = Array.from({ length: 10 }, () => call('/drip'));
    for (const one of calls) assert.equal((await one.ended).text, 'drop 0\ndrop 1\ndrop 2\n');
    assert.equal((await call('/yield').ended).text, 'done');
  });

  test('another export than _start can be what is called', async () => {
    const code = join(folder, 'code');
    await writeFile(join(code, 'other.wasm'), moduleBytes({ imports: [], exports: ['_start', 'hello'] }));
    await using other = await started('other.wasm#hello');
    assert.match((await other.http('/').ended).error!.message, /without a word/);
  });

  test('a module that cannot run here fails at its load, with what it lacks', async () => {
    const code = join(folder, 'code');
    const failure = async (bytes: Uint8Array, name = 'bad.wasm'): Promise<string> => {
      await writeFile(join(code, 'bad.wasm'), bytes);
      return started(name).then(
        () => 'it loaded',
        (error: Error) => error.message,
      );
    };
    assert.match(await failure(Buffer.from('#!/bin/sh')), /^bad\.wasm cannot run: it is no WebAssembly/);
    assert.match(await failure(Buffer.from('0061736d0d000100', 'hex')), /component \(WASI preview 2\); build a core module/);
    assert.match(await failure(Buffer.from('0061736d01000000ff', 'hex')), /^bad\.wasm cannot be compiled: /);
    assert.match(
      await failure(
        moduleBytes({ imports: ['env.alert', 'wasi_snapshot_preview1.fd_write', 'wasi_snapshot_preview1.fd_fly'], exports: ['_start'] }),
      ),
      /it imports env\.alert, wasi_snapshot_preview1\.fd_fly, which nothing here provides/,
    );
    assert.match(await failure(moduleBytes({ imports: ['wasi_unstable.fd_write'], exports: ['_start'] })), /WASI before preview 1/);
    assert.match(
      await failure(moduleBytes({ imports: [], exports: ['_initialize', 'go'] })),
      /exports no function _start: it was built as a library \(reactor\)/,
    );
    assert.match(
      await failure(moduleBytes({ imports: [], exports: ['_start'] }), 'bad.wasm#go'),
      /exports no function go; its functions are _start/,
    );
    assert.match(await failure(moduleBytes({ imports: [], exports: ['_start'], memory: false })), /exports no `memory`/);
    assert.match(await failure(moduleBytes({ imports: [], exports: ['_start'] }), 'gone.wasm'), /the module 'gone\.wasm' cannot be read/);
  });
});
