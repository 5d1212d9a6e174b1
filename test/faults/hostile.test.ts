// Functions that do everything wrong: each gets an error of its own, and a call of another function beside it is unharmed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { descendants, eventually, leftovers, startVirga } from '../system/virga.ts';
import type { Virga } from '../system/virga.ts';

const PROJECT = {
  'virga.yaml': `
project: hostile
defaults: { timeout: 20s, memory: 128 MiB }
functions:
  good: { source: good.ts, http: [{ path: /good }] }
  slow: { source: slow.ts, timeout: 300ms, http: [{ path: /slow }] }
  loop: { source: loop.ts, timeout: 300ms, http: [{ path: /loop }] }
  pyloop: { source: pyloop.py, timeout: 300ms, http: [{ path: /pyloop }] }
  hungry: { source: hungry.ts, http: [{ path: /hungry }] }
  pyhungry: { source: pyhungry.py, http: [{ path: /pyhungry }] }
  unloadable: { source: unloadable.ts, http: [{ path: /unloadable }] }
  thrower: { source: thrower.ts, concurrency: 4, http: [{ path: '/thrower/{how}' }] }
  exiter: { source: exiter.ts, http: [{ path: /exiter }] }
  forker: { source: forker.py, pids: 40, timeout: 5s, http: [{ path: /forker }] }
  filler: { source: filler.ts, tmp: 16 MiB, http: [{ path: /filler }] }
  talker: { source: talker.ts, timeout: 60s, http: [{ path: /talker }] }
  prober: { source: prober.ts, http: [{ path: /prober }] }
`,
  'good.ts': `export default { fetch: () => new Response('good') };`,
  'slow.ts': `export default { async fetch() { await new Promise((r) => setTimeout(r, 60_000)); return new Response('never'); } };`,
  'loop.ts': `export default { fetch() { for (;;); } };`,
  'pyloop.py': `def handler(event, context):\n    while True:\n        pass\n`,
  'hungry.ts': `const kept: Buffer[] = []; export default { fetch() { for (;;) kept.push(Buffer.alloc(8_000_000, 1)); } };`,
  'pyhungry.py': `kept = []\ndef handler(event, context):\n    while True:\n        kept.append(bytearray(8_000_000))\n`,
  'unloadable.ts': `\n\nthrow new TypeError('broken on line three');\nexport default { fetch: () => new Response('never') };`,
  'thrower.ts': `
export default { async fetch(_: Request, context: { params: { how: string } }) {
  if (context.params.how === 'throw') throw new RangeError('thrown on purpose');
  if (context.params.how === 'wait') { await new Promise((r) => setTimeout(r, 200)); return new Response('waited'); }
  return 42 as unknown as Response;
} };`,
  'exiter.ts': `export default { fetch() { process.exit(7); } };`,
  'forker.py': `
import os

def handler(event, context):
    while True:
        try:
            os.fork()
        except OSError:
            pass
`,
  'filler.ts': `
import { statfsSync, writeFileSync } from 'node:fs';
export default { fetch() {
  for (let i = 0; i < 100; i++) writeFileSync('/tmp/' + i, Buffer.alloc(1_000_000));
  return Response.json(statfsSync('/tmp'));
} };`,
  'talker.ts': `
export default { fetch() {
  const line = 'x'.repeat(1_000_000);
  for (let i = 0; i < 1_000; i++) console.log(line);
  return new Response('said it all');
} };`,
  'prober.ts': `
import { readFileSync, writeFileSync, readdirSync, existsSync } from 'node:fs';
import { connect } from 'node:net';
export default { async fetch() {
  const tries: Record<string, string> = {};
  const attempt = (name: string, work: () => unknown) => { try { tries[name] = 'got ' + String(work()).slice(0, 60); } catch (error) { tries[name] = String((error as NodeJS.ErrnoException).code ?? error); } };
  attempt('write root', () => writeFileSync('/x', 'x'));
  attempt('write code', () => writeFileSync('/code/x', 'x'));
  attempt('write runtime', () => writeFileSync('/virga/x', 'x'));
  attempt('shadow', () => readFileSync('/etc/shadow'));
  tries['root home'] = existsSync('/root') ? readdirSync('/root').join() : 'absent';
  tries['processes'] = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).length < 6 ? 'few' : 'many';
  tries['environment'] = Object.keys(process.env).filter((name) => /^(SHELL|USER|VIRGA|SSH|npm_)/.test(name)).join();
  tries['uid'] = String(process.getuid!());
  tries['loopback'] = await new Promise((resolve) => {
    const socket = connect(Number(process.env.PROBE_PORT ?? 8081), '127.0.0.1');
    socket.on('connect', () => resolve('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
  });
  return Response.json(tries);
} };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const controlPort = new URL(virga.controlUrl).port;
  const deployed = await virga.deploy({
    ...PROJECT,
    'virga.yaml': PROJECT['virga.yaml'].replace('source: prober.ts,', `source: prober.ts, env: { PROBE_PORT: '${controlPort}' },`),
  });
  assert.equal(deployed.code, 0, deployed.stderr);
  await good();
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  assert.deepEqual(leftovers(virga.dataFolder), []);
});

async function good(): Promise<void> {
  const response = await virga.fetch('hostile', '/good');
  assert.equal(await response.text(), 'good');
}

interface ErrorAnswer {
  error: { code: string; message: string; fault: string; requestId: string; detail?: { stack?: string } };
}

/** Calls the path, and the good function beside it and afterwards. */
async function failing(path: string): Promise<{ status: number; error: ErrorAnswer['error'] }> {
  const [response] = await Promise.all([virga.fetch('hostile', path), good()]);
  const { error } = (await response.json()) as ErrorAnswer;
  await good();
  return { status: response.status, error };
}

/** What is logged, once it says so. */
async function logged(name: string, pattern: RegExp): Promise<string> {
  return eventually(async () => {
    const { stdout } = await virga.cli(['logs', name, '--project', 'hostile']);
    return pattern.test(stdout) ? stdout : undefined;
  });
}

test('a handler that does not answer in time gets 504 and names the setting', async () => {
  const { status, error } = await failing('/slow');
  assert.deepEqual([status, error.code, error.fault], [504, 'function_timeout', 'function']);
  assert.match(error.message, /slow.*300 ms.*timeout.*virga\.yaml/);
});

test('an endless loop is ended at its timeout, in Node and in Python', async () => {
  for (const path of ['/loop', '/pyloop']) assert.equal((await failing(path)).error.code, 'function_timeout');
});

test('running out of memory is told apart from a crash and names the limit', async () => {
  for (const path of ['/hungry', '/pyhungry']) {
    const { status, error } = await failing(path);
    assert.deepEqual([status, error.code], [502, 'function_out_of_memory'], error.message);
    assert.match(error.message, /128 MiB/);
  }
});

test('code that cannot be loaded gives the stack with the file and line of the source', async () => {
  const { status, error } = await failing('/unloadable');
  assert.deepEqual([status, error.code], [502, 'function_load_failed']);
  assert.match(error.message, /broken on line three/);
  assert.match(String(error.detail?.stack), /unloadable\.ts:3/);
});

test('a throw is 502 and does not disturb a call beside it in the same instance; the stack is in the logs', async () => {
  const waiting = virga.fetch('hostile', '/thrower/wait');
  const thrown = await failing('/thrower/throw');
  assert.deepEqual([thrown.status, thrown.error.code], [502, 'function_error']);
  assert.equal(await (await waiting).text(), 'waited');
  await logged('thrower', /RangeError: thrown on purpose[\s\S]*thrower\.ts:3/);
  const bad = await failing('/thrower/bad');
  assert.deepEqual([bad.status, bad.error.code], [502, 'function_bad_response']);
});

test('an exit in a call is a crash that says how', async () => {
  const { status, error } = await failing('/exiter');
  assert.deepEqual([status, error.code], [502, 'function_crashed']);
  assert.match(error.message, /code 7/);
});

test('a fork bomb stays in its box and is swept away whole', async () => {
  const { error } = await failing('/forker');
  assert.ok(['function_timeout', 'function_crashed', 'function_out_of_memory'].includes(error.code), error.code);
  // One process each for what else runs in Python; the bomb's children would be dozens.
  await eventually(async () => {
    const { edge } = (await virga.cli(['status', '--json'])).json<{
      edge: {
        functions: { runtime: string; starting: number; idle: number; busy: number; draining: number }[];
        blanks: { runtime: string; ready: number; booting: number }[];
      };
    }>();
    const python = <T extends { runtime: string }>(all: T[]): T[] => all.filter(({ runtime }) => runtime === 'python3');
    const known =
      python(edge.functions).reduce((sum, f) => sum + f.starting + f.idle + f.busy + f.draining, 0) +
      python(edge.blanks).reduce((sum, blank) => sum + blank.ready + blank.booting, 0);
    const alive = descendants(virga.process.pid!).filter(({ command }) => /^\S*python\S* .*guest\.py/.test(command)).length;
    return alive <= known ? true : undefined;
  });
});

test('a full /tmp is an error of the function that fills it, and of nobody else', async () => {
  const { status, error } = await failing('/filler');
  assert.deepEqual([status, error.code], [502, 'function_error']);
  await logged('filler', /ENOSPC/);
});

test('a gigabyte of log output is cut and counted; the call still answers', async () => {
  const [response] = await Promise.all([virga.fetch('hostile', '/talker'), good()]);
  assert.equal(await response.text(), 'said it all');
  await good();
  const kept = await logged('talker', /dropped/);
  assert.ok(kept.length < 4_000_000, `${kept.length} bytes were kept`);
});

test('a function sees nothing of the host', async () => {
  const tries = (await (await virga.fetch('hostile', '/prober')).json()) as Record<string, string>;
  for (const name of ['write root', 'write code', 'write runtime']) assert.match(tries[name]!, /EROFS|EACCES|EPERM/, name);
  assert.match(tries['shadow']!, /ENOENT|EACCES/);
  assert.match(tries['root home']!, /^(absent|)$/);
  assert.equal(tries['processes'], 'few');
  assert.equal(tries['environment'], '');
  assert.notEqual(tries['uid'], '0');
  assert.match(tries['loopback']!, /ECONNREFUSED|ENETUNREACH|EPERM/);
});
