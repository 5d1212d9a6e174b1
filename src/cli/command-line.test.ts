import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable, Writable } from 'node:stream';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientSettings } from '../config/client.ts';
import { runCommandLine } from './command-line.ts';

const BIN = join(dirname(dirname(import.meta.dirname)), 'bin', 'virga');
const TOKEN = 'vrg_test-token';
const INVOCATION = {
  id: 'inv_01k9x3v5m8q2r7t4w6y9z0a1b2',
  traceId: '0'.repeat(32),
  project: 'tour',
  function: 'hello',
  version: 3,
  trigger: 'invoke',
  outcome: 'ok',
  status: null,
  request: null,
  error: null,
  startedAt: 1_700_000_000_000,
  explanation: null,
  peakMemoryBytes: 50_000_000,
  bytesIn: 4,
  bytesOut: 20,
  instance: 'ins_1',
  receipt: { queueMs: 0.1, sandboxMs: 22.4, loadMs: 1.2, initMs: 3.1, handlerMs: 2, cold: true, billedMs: 6 },
};
const LINE = {
  id: 'log_01k9x3v5m8q2r7t4w6y9z0a1b2',
  at: 1_700_000_000_000,
  project: 'tour',
  function: 'hello',
  version: 3,
  invocation: INVOCATION.id,
  instance: 'ins_1',
  level: 'warn',
  text: 'a \x1b[2Jline\nof two',
};

/** What the control API would answer, by `METHOD path`. */
const ANSWERS: Record<string, unknown> = {
  'GET /v1/projects': {
    items: [{ name: 'tour', createdAt: '2026-01-31T12:00:00Z', url: 'http://tour.localhost:8080/', functions: 4, deployment: 7 }],
    next: null,
  },
  'GET /v1/projects/tour/functions/hello/invocations': { items: [INVOCATION], next: null },
  [`GET /v1/projects/tour/invocations/${INVOCATION.id}`]: { invocation: INVOCATION, logs: [LINE], logsCut: false },
  'GET /v1/projects/tour/logs': { items: [LINE], next: null },
  'POST /v1/projects/tour/functions/hello/invoke': {
    invocation: INVOCATION,
    logs: [LINE],
    result: { contentType: 'application/json', text: '{"message":"Hello"}' },
    error: null,
  },
  'POST /v1/projects/tour/functions/broken/invoke': {
    invocation: { ...INVOCATION, outcome: 'function_error' },
    logs: [],
    result: null,
    error: { code: 'function_error', message: 'boom', detail: { stack: 'Error: boom\n    at f.ts:3:9' } },
  },
  'GET /v1/status': {
    node: 'n1',
    version: '0.1.0',
    uptimeS: 5,
    startedAt: '2026-01-31T12:00:00Z',
    edge: null,
    postgres: { version: '18.4', databaseBytes: 1, roundTripMs: 0.1 },
    urls: { control: '', edge: '' },
    projects: 1,
    functions: 4,
    events: { queues: 2, pending: 3, delayed: 0, held: 1, deadLetters: 1, oldestAt: null },
  },
  'GET /v1/projects/tour': { name: 'tour', createdAt: '', url: 'http://tour.localhost:8080/', deployment: 7, functions: [], routes: [] },
};

let server: Server;
let url: string;
let folder: string;
const cwd = process.cwd();
const requests: { method: string; path: string; body: string; contentType: string }[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'virga-cli-'));
  process.chdir(folder);
  server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const path = request.url!.split('?')[0]!;
      requests.push({ method: request.method!, path, body, contentType: request.headers['content-type'] ?? '' });
      const answer = ANSWERS[`${request.method} ${path}`];
      const status = request.headers.authorization !== `Bearer ${TOKEN}` ? 401 : answer === undefined ? 404 : 200;
      const error = {
        code: status === 401 ? 'unauthorized' : 'project_not_found',
        message: `no ${path}`,
        fault: 'caller',
        requestId: 'req_1',
      };
      response
        .writeHead(status, { 'content-type': 'application/json', connection: 'close' })
        .end(JSON.stringify(status === 200 ? answer : { error }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(async () => {
  server.close();
  await once(server, 'close');
  process.chdir(cwd);
  rmSync(folder, { recursive: true, force: true });
});

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) text += chunk;
  return text;
}

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

async function virga(args: string[], options: { env?: Record<string, string>; input?: string } = {}): Promise<Run> {
  const env = { XDG_CONFIG_HOME: join(folder, '.config'), VIRGA_URL: url, VIRGA_TOKEN: TOKEN, ...options.env };
  const run: Run = { status: null, stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr'): Writable =>
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        run[name] += chunk.toString();
        done();
      },
    });
  const input = Readable.from([Buffer.from(options.input ?? '')]) as unknown as NodeJS.ReadStream;
  run.status = await runCommandLine(args, { out: sink('stdout'), err: sink('stderr'), input, settings: clientSettings(env) });
  return run;
}

test('wrong usage exits 2, says why on stderr with a suggestion, and leaves stdout empty', async (t) => {
  const cases: [string[], RegExp][] = [
    [['deplyo'], /unknown command 'deplyo'\n\(Did you mean deploy\?\)/],
    [['help', 'deplyo'], /unknown command 'deplyo'; did you mean 'deploy'\?/],
    [['deploy', '--frsh'], /unknown option '--frsh'\n\(Did you mean --fresh\?\)/],
    [['deploy', 'nowhere'], /there is no folder "nowhere"/],
    [['invoke'], /missing required argument 'name'/],
    [['invoke', 'Hello'], /the name of the function is "Hello"; expected a name/],
    [['invoke', 'hello', '--data', '{oops'], /--data is not JSON: .*quote it/],
    [['invoke', 'hello', '--data', '@none.json'], /there is no file "none\.json"/],
    [['invoke', 'hello', '--version', '0'], /--version is "0"; expected a whole number from 1/],
    [['logs', '--since', 'yesterday'], /--since is "yesterday"; expected how long ago/],
    [['logs', '--limit', '-1'], /--limit is "-1"/],
    [['invocations', 'hello', '--outcome', 'function_timout'], /did you mean 'function_timeout'\?/],
    [['invocation', '42'], /the id is "42"; expected the id of an invocation/],
    [['rollback', '--to', 'x'], /--to is "x"/],
    [['remove'], /missing required argument 'project'/],
    [['remove', 'tour'], /removing 'tour' takes a yes: add --yes/],
    [['login', 'not a url'], /the URL is "not a url"/],
    [['start', '--edge-port', '99999', '--log', 'xml'], /--edge-port is '99999': give a port.*\n +--log is 'xml'/],
    [['dev', 'nowhere'], /there is no folder "nowhere"/],
    [['reference', 'x'], /Allowed choices are manifest, schema, cli, configuration/],
  ];
  for (const [args, message] of cases) {
    await t.test(args.join(' '), async () => {
      const run = await virga(args);
      assert.match(run.stderr, message);
      assert.deepEqual([run.status, run.stdout], [2, '']);
    });
  }
});

test('a failed operation exits 1 with the words of the server; with --json as one JSON line on stderr', async () => {
  const run = await virga(['functions', '--project', 'none']);
  assert.deepEqual([run.status, run.stdout, run.stderr], [1, '', 'error: no /v1/projects/none/functions\n']);
  const json = await virga(['functions', '--project', 'none', '--json']);
  assert.equal(json.stdout, '');
  assert.deepEqual(JSON.parse(json.stderr), {
    error: { code: 'project_not_found', message: 'no /v1/projects/none/functions', requestId: 'req_1' },
  });
  const mistaken = await virga(['logs', '--json', '--since', 'x']);
  assert.deepEqual([mistaken.status, (JSON.parse(mistaken.stderr) as { error: { code: string } }).error.code], [2, 'usage']);
});

test('with --json stdout is one JSON document and nothing else', async () => {
  for (const args of [['projects'], ['invocations', 'hello'], ['invocation', INVOCATION.id], ['logs', 'hello'], ['invoke', 'hello']]) {
    const run = await virga([...args, '--json']);
    assert.deepEqual([run.status, run.stderr], [0, ''], args.join(' '));
    assert.equal(run.stdout.trimEnd().split('\n').length, 1);
    JSON.parse(run.stdout);
  }
});

test('invoke prints the result alone on stdout, logs and receipt on stderr, and sends the payload as it is', async () => {
  const run = await virga(['invoke', 'hello', '--data', '-', '--content-type', 'text/csv'], { input: 'a,b\n1,2\n' });
  assert.deepEqual([run.status, run.stdout], [0, '{"message":"Hello"}']);
  assert.match(
    run.stderr,
    /warn a line\n {4}of two\ninv_\S+ {2}version 3 {2}cold 28\.8 ms \(queue 0\.10 ms, sandbox 22\.4 ms, load 1\.20 ms, init 3\.10 ms, handler 2\.00 ms\), billed 6 ms\n/,
  );
  const sent = requests.findLast((request) => request.path.endsWith('/invoke'));
  assert.deepEqual([sent?.body, sent?.contentType], ['a,b\n1,2\n', 'text/csv']);
  writeFileSync(join(folder, 'payload.json'), '{"n":1}');
  await virga(['invoke', 'hello', '--data', '@payload.json']);
  assert.deepEqual(requests.at(-1)?.body, '{"n":1}');
});

test('a function that fails makes invoke exit 1, with its stack on stderr', async () => {
  const run = await virga(['invoke', 'broken']);
  assert.deepEqual([run.status, run.stdout], [1, '']);
  assert.match(run.stderr, /error: boom \(function_error\)\nError: boom\n {4}at f\.ts:3:9/);
});

test('an invocation is drawn with each phase beginning where the one before ended', async () => {
  const { stdout } = await virga(['invocation', INVOCATION.id]);
  const bars = stdout.split('\n').filter((line) => /^ {2}(queue|sandbox|load|init|handler)/.test(line));
  assert.deepEqual(
    bars.map((line) => line.trimEnd()),
    [
      '  queue      0.10 ms  ▏                                         waiting for an instance',
      '  sandbox    22.4 ms  ███████████████████████████████▏          starting one',
      '  load       1.20 ms                                 █▋         reading the code',
      '  init       3.10 ms                                  ████▎     evaluating it',
      '  handler    2.00 ms                                       ██▊  the call itself',
    ],
  );
});

test('status exits 1 when the edge does not answer', async () => {
  const run = await virga(['status']);
  assert.equal(run.status, 1);
  assert.match(run.stdout, /edge +does not answer/);
});

test('without a server the error says how to get one', async () => {
  const none = { VIRGA_URL: '', VIRGA_TOKEN: '' };
  const run = await virga(['projects'], { env: none });
  assert.deepEqual([run.status, run.stdout], [1, '']);
  assert.match(run.stderr, /no Virga found: start one here with `virga start`, or/);
  const down = await virga(['projects'], { env: { VIRGA_URL: 'http://127.0.0.1:9' } });
  assert.equal(down.status, 1);
  assert.match(down.stderr, /cannot be reached/);
  assert.match(
    (await virga(['projects'], { env: { ...none, VIRGA_DATA: join(folder, 'data') } })).stderr,
    /no Virga is running on the data folder/,
  );
});

test('a data folder above the current one, or a login, names the server; the login is readable by its owner only', async () => {
  const none = { VIRGA_URL: '', VIRGA_TOKEN: '' };
  const login = await virga(['login', url, '--token', '-'], { input: `${TOKEN}\n`, env: none });
  assert.equal(login.status, 0, login.stderr);
  const file = join(folder, '.config', 'virga', 'logins.json');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal((await virga(['projects'], { env: none })).status, 0);
  assert.equal((await virga(['projects'], { env: { ...none, VIRGA_URL: `${url}/` } })).status, 0);
  const wrong = await virga(['login', url, '--token', '-'], { input: 'vrg_wrong-token', env: none });
  assert.equal(wrong.status, 1);
  assert.match(readFileSync(file, 'utf8'), new RegExp(TOKEN));
});

test('the program itself keeps stdout, stderr and the exit status apart', () => {
  const run = (...args: string[]): [number | null, string, string] => {
    const { status, stdout, stderr } = spawnSync(BIN, args, {
      encoding: 'utf8',
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: join(folder, 'nobody') },
    });
    return [status, stdout, stderr];
  };
  assert.match(run('--version')[1], /^\d+\.\d+\.\d+\n$/);
  const [status, stdout, stderr] = run('logs', '--help');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /Examples:\n {2}virga logs\n/);
  assert.deepEqual(run('projects').slice(0, 2), [1, '']);
  assert.deepEqual(run('nonsense').slice(0, 2), [2, '']);
});

test('the published reference is current (bin/virga reference cli > docs/reference/cli.md)', async () => {
  assert.equal(
    readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'reference', 'cli.md'), 'utf8'),
    (await virga(['reference', 'cli'])).stdout,
  );
});
