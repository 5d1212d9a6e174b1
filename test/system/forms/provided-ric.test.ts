// examples/provided/ric: the unmodified aws-lambda-ric of npm, AWS's own client of the Runtime API for Node, which speaks to it
// with libcurl and, for streams, with node:http. It compiles its native part when it is installed, which takes one minute of a processor:
// once, in a folder beside the other caches of node_modules.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ROOT, startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';
import { goldenEvent, invoke } from './lambda-events.ts';

const EXAMPLE = join(ROOT, 'examples', 'provided', 'ric');
const INSTALLED = join(ROOT, 'node_modules', '.cache', 'virga-ric');
const INSTALL_MS_MAX = 360_000;

/** The example with its package installed. */
async function install(): Promise<string> {
  const lock = (folder: string): Promise<string> => readFile(join(folder, 'package-lock.json'), 'utf8').catch(() => '');
  const native = join(INSTALLED, 'node_modules', 'aws-lambda-ric', 'rapid-client.node');
  const isThere = (await lock(INSTALLED)) === (await lock(EXAMPLE)) && (await readFile(native).catch(() => null)) !== null;
  await mkdir(INSTALLED, { recursive: true });
  await cp(EXAMPLE, INSTALLED, { recursive: true, filter: (path) => !path.includes('node_modules', EXAMPLE.length) });
  if (isThere) return INSTALLED;
  // The headers of the Node that will load it, from npm as well.
  const headers = dirname(createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/package.json`));
  await promisify(execFile)('npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], {
    cwd: INSTALLED,
    // What it does is looked at here, not how fast: without optimisation it is built in half the time.
    env: { ...process.env, npm_config_nodedir: headers, NODE_DISABLE_COMPILE_CACHE: '1', CFLAGS: '-O0', CXXFLAGS: '-O0', MAKEFLAGS: '-j2' },
    timeout: INSTALL_MS_MAX,
    maxBuffer: 16 * 1024 * 1024,
  });
  return INSTALLED;
}

let virga: Virga;
before(async () => {
  const [folder, started] = await Promise.all([install(), startVirga()]);
  virga = started;
  const deployed = await virga.cli(['deploy', folder]);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
});

test('HTTP requests come as events, and its answers go back', async () => {
  const hello = await virga.fetch('ric', '/hello/Ada%20L.');
  assert.deepEqual([hello.status, await hello.text()], [200, 'Hello, Ada L.']);
  const echo = await virga.fetch('ric', '/echo', { method: 'POST', body: 'ü'.repeat(100_000), headers: { 'content-type': 'text/plain' } });
  assert.equal(await echo.text(), 'ü'.repeat(100_000));
});

test('a direct invocation has its event, its context and its log', async () => {
  const { value, logs, error } = await invoke(virga, ['ric', 'api'], { a: [1, 'ü'] });
  assert.equal(error, null);
  const { event, context, left } = value as { event: unknown; context: Record<string, string>; left: number };
  assert.deepEqual(event, { a: [1, 'ü'] });
  assert.ok(left > 0 && left <= 5_000, String(left));
  const { functionName, invokedFunctionArn, memoryLimitInMB, logGroupName, awsRequestId, xRayTraceId } = context;
  assert.deepEqual(
    { functionName, invokedFunctionArn, memoryLimitInMB, logGroupName },
    {
      functionName: 'api',
      invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:api',
      memoryLimitInMB: '256',
      logGroupName: '/aws/lambda/api',
    },
  );
  assert.match(awsRequestId!, /^[0-9a-f-]{36}$/);
  assert.match(xRayTraceId!, /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]$/);
  // Its own record: time, request id, level, text.
  assert.deepEqual(
    logs.map(({ level, text }) => [level, text.split('\t').slice(1)]),
    [['info', [awsRequestId, 'INFO', 'called as api']]],
  );
});

test('a batch of a queue is answered with what has to come again', async () => {
  const { value } = await invoke(virga, ['ric', 'api'], goldenEvent('a batch of a queue, as SQS gives it'));
  assert.deepEqual(value, { failed: [] });
});

test('what a handler throws is the error of the call, and the program goes on', async () => {
  const { error, logs } = await invoke(virga, ['ric', 'api'], { fail: 'now' });
  assert.equal(error!.code, 'function_error');
  const lines = logs.map(({ text }) => text).join('\n');
  assert.match(lines, /RangeError: asked to: now/);
  assert.match(lines, /app\.mjs:\d+/);
  const again = await invoke(virga, ['ric', 'api'], {});
  assert.deepEqual([again.error, again.invocation.receipt.cold], [null, false]);
});

test('streams: the head first, then as it is written, and an error in the trailers', async () => {
  const stream = await virga.fetch('ric', '/stream?lines=5');
  assert.deepEqual([stream.status, stream.headers.get('content-type'), stream.headers.getSetCookie()], [202, 'text/plain', ['a=1']]);
  const chunks: string[] = [];
  for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) chunks.push(chunk);
  assert.equal(chunks.join(''), 'line 1\nline 2\nline 3\nline 4\nline 5\n');
  assert.ok(chunks.length > 2, `it came in ${chunks.length} pieces`);
  // The client sees that it is not complete.
  const broken = await virga.fetch('ric', '/stream?fail=1');
  await assert.rejects(broken.text());
});
