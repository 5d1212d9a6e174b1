// `virga start`: how it comes up, what it refuses and in which words, and how it goes down.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { cleanEnvironment, freePort, leftovers, ROOT, runCli, startVirga, temporaryFolder } from './virga.ts';
import type { Virga } from './virga.ts';

const BIN = join(ROOT, 'bin', 'virga');
/** The budgets are 5 s and 2 s on a quiet machine; other tests run beside this one. */
const FIRST_START_MS = 10_000;
const LATER_START_MS = 5_000;

let folder: string;
before(async () => {
  folder = await temporaryFolder();
});
after(() => rm(folder, { recursive: true, force: true }));

/** A start that is expected to fail: no free ports are needed, nothing may be left. */
async function failingStart(args: string[], env: Record<string, string> = {}): Promise<{ code: number; stdout: string; stderr: string }> {
  return await runCli(['start', '--edge-port', String(await freePort()), '--control-port', String(await freePort()), ...args], {
    cwd: folder,
    env,
  });
}

async function refusedConnection(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => false,
    () => true,
  );
}

test('the first start makes a closed data folder, later ones find it again, and a stop leaves nothing running', async () => {
  const dataFolder = join(folder, 'twice');
  let token: string | undefined;
  for (const limitMs of [FIRST_START_MS, LATER_START_MS]) {
    const virga = await startVirga({ dataFolder });
    assert.ok(virga.readyMs < limitMs, `ready after ${Math.round(virga.readyMs)} ms`);
    assert.equal(statSync(dataFolder).mode & 0o777, 0o700);
    assert.equal(statSync(join(dataFolder, 'operator-token')).mode & 0o777, 0o600);
    const endpoint = JSON.parse(readFileSync(join(dataFolder, 'endpoint.json'), 'utf8')) as Record<string, unknown>;
    assert.equal(endpoint['edgeUrl'], virga.edgeUrl);
    assert.equal(endpoint['controlUrl'], virga.controlUrl);
    assert.equal((await fetch(`${virga.controlUrl}/v1/health`)).status, 200);
    assert.equal((await virga.fetch('nobody', '/')).status, 404);
    token ??= virga.token;
    assert.equal(virga.token, token);
    await virga.stop();
    assert.equal(virga.process.exitCode, 0);
    assert.deepEqual(leftovers(dataFolder), []);
    assert.equal(existsSync(join(dataFolder, 'endpoint.json')), false);
    assert.ok(await refusedConnection(virga.edgeUrl));
  }
});

test('stdout has the one ready line with both URLs, stderr is JSON lines with --log json', async () => {
  const [edgePort, controlPort] = [await freePort(), await freePort()];
  const args = [
    'start',
    '--data',
    join(folder, 'lines'),
    '--edge-port',
    String(edgePort),
    '--control-port',
    String(controlPort),
    '--log',
    'json',
  ];
  const child = spawn(BIN, args, { cwd: folder, env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const closed = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), closed]);
  child.kill('SIGINT'); // as Ctrl-C does
  await closed;
  assert.equal(child.exitCode, 0, stderr);
  assert.match(
    stdout,
    new RegExp(`^Virga is ready[^\n]*http://127\\.0\\.0\\.1:${edgePort}[^\n]*http://127\\.0\\.0\\.1:${controlPort}[^\n]*\n$`),
  );
  const lines = stderr.trim().split('\n');
  assert.ok(lines.length > 1);
  for (const line of lines) {
    const record = JSON.parse(line) as Record<string, unknown>;
    for (const key of ['at', 'level', 'role', 'message']) assert.equal(typeof record[key], 'string', line);
  }
});

test('without --log json the platform log is for people, without colours when it is no terminal', async () => {
  const { code, stderr } = await failingStart(['--data', join(folder, 'people'), '--edge-port', '1'], { VIRGA_EDGE_HOST: '192.0.2.1' });
  assert.equal(code, 1);
  assert.match(stderr, /has no address 192\.0\.2\.1/);
  assert.doesNotMatch(stderr, /\x1b\[/);
});

test('a taken port is refused before anything is made, naming the port, the flag and the variable', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const port = String((holder.address() as AddressInfo).port);
  const dataFolder = join(folder, 'taken');
  try {
    const edge = await failingStart(['--data', dataFolder, '--edge-port', port]);
    assert.equal(edge.code, 1);
    assert.equal(edge.stdout, '');
    assert.match(edge.stderr, new RegExp(`port ${port} .*taken.*--edge-port.*VIRGA_EDGE_PORT`));
    const control = await failingStart(['--data', dataFolder, '--control-port', port]);
    assert.equal(control.code, 1);
    assert.match(control.stderr, new RegExp(`port ${port} .*taken.*--control-port.*VIRGA_CONTROL_PORT`));
    assert.equal(existsSync(join(dataFolder, 'postgres')), false);
  } finally {
    holder.close();
  }
});

test('a second Virga on the same data folder is refused, naming the first, which is unharmed', async () => {
  await using virga = await startVirga();
  const second = await failingStart(['--data', virga.dataFolder]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, new RegExp(`process ${virga.process.pid}\\b`));
  assert.ok(second.stderr.includes(virga.dataFolder), second.stderr);
  assert.match(second.stderr, /--data/);
  // Also under another name of the same folder.
  const alias = join(folder, 'alias');
  await symlink(virga.dataFolder, alias);
  assert.equal((await failingStart(['--data', alias])).code, 1);
  assert.equal((await virga.cli(['projects', '--json'])).code, 0);
});

test('a data folder of another layout is refused, naming both layouts and the remedy, and left as it is', async () => {
  for (const [version, words] of [
    ['999', /layout 999.*too new.*Install the version/],
    ['0', /too old.*--data/],
    ['rubbish', /'rubbish'.*damaged.*--data/],
  ] as const) {
    const dataFolder = join(folder, `layout-${version}`);
    await mkdir(dataFolder);
    await writeFile(join(dataFolder, 'VERSION'), `${version}\n`);
    const { code, stderr } = await failingStart(['--data', dataFolder]);
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal(readFileSync(join(dataFolder, 'VERSION'), 'utf8'), `${version}\n`);
    assert.equal(existsSync(join(dataFolder, 'postgres')), false);
  }
});

test('a database of a PostgreSQL that is not installed is refused, naming the version', async () => {
  const dataFolder = join(folder, 'old-postgres');
  await mkdir(join(dataFolder, 'postgres'), { recursive: true });
  await writeFile(join(dataFolder, 'postgres', 'PG_VERSION'), '9\n');
  const { code, stderr } = await failingStart(['--data', dataFolder]);
  assert.equal(code, 1);
  assert.match(stderr, /made by PostgreSQL 9.*install postgresql-9/);
  assert.deepEqual(leftovers(dataFolder), []);
});

test('a file where the data folder should be is named', async () => {
  const dataFolder = join(folder, 'file');
  await writeFile(dataFolder, '');
  const { code, stderr } = await failingStart(['--data', dataFolder]);
  assert.equal(code, 1);
  assert.ok(stderr.includes(dataFolder) && stderr.includes('VIRGA_DATA'), stderr);
});

test('wrong settings are reported all together, with exit code 2', async () => {
  const { code, stdout, stderr } = await runCli(['start', '--edge-port', 'eighty', '--control-port', '70000', '--log', 'xml'], {
    cwd: folder,
    env: { VIRGA_LIMIT_REQUEST_BYTES: '-1' },
  });
  assert.equal(code, 2);
  assert.equal(stdout, '');
  for (const words of ['eighty', '70000', 'xml', 'VIRGA_LIMIT_REQUEST_BYTES']) assert.ok(stderr.includes(words), stderr);
});

test('a data folder whose path is too long for sockets works, and the short folder beside it goes at the stop', async () => {
  const dataFolder = join(folder, 'l'.repeat(100), 'data');
  await mkdir(dirname(dataFolder));
  const short = (): string[] => readdirSync('/tmp').filter((name) => /^virga-[0-9a-f]{16}$/.test(name));
  const earlier = short();
  const virga = await startVirga({ dataFolder });
  const made = short().filter((name) => !earlier.includes(name));
  assert.equal((await virga.cli(['status', '--json'])).code, 0);
  await virga.stop();
  assert.equal(virga.process.exitCode, 0);
  assert.equal(made.length, 1);
  assert.deepEqual(
    short().filter((name) => made.includes(name)),
    [],
  );
});

test('SIGTERM lets a call in flight finish, takes no new ones, and then ends', async () => {
  await using virga = await startVirga();
  await deploySlow(virga);
  const call = virga.fetch('p', '/slow?ms=1500');
  await untilBusy(virga);
  const ended = once(virga.process, 'close');
  virga.process.kill('SIGTERM');
  const response = await call;
  assert.equal(response.status, 200);
  assert.equal(await response.text(), 'finished');
  await ended;
  assert.equal(virga.process.exitCode, 0);
  assert.deepEqual(leftovers(virga.dataFolder), []);
});

test('a call that outlives the drain is cut off, and a second signal does not wait for it at all', async () => {
  await using virga = await startVirga({ env: { VIRGA_LIMIT_DRAIN_MS: '500' } });
  await deploySlow(virga);
  const cut = virga.fetch('p', '/slow?ms=20000').then(
    (response) => response.text(),
    () => 'cut off',
  );
  await untilBusy(virga);
  const at = performance.now();
  await virga.stop();
  assert.ok(performance.now() - at < 8_000, `stopped after ${Math.round(performance.now() - at)} ms`);
  assert.notEqual(await cut, 'finished');
  assert.deepEqual(leftovers(virga.dataFolder), []);

  await using hasty = await startVirga();
  await deploySlow(hasty);
  const lost = hasty.fetch('p', '/slow?ms=20000').catch(() => {});
  await untilBusy(hasty);
  const ended = once(hasty.process, 'close');
  hasty.process.kill('SIGTERM');
  while (!/SIGTERM/.test(hasty.log())) await once(hasty.process.stderr!, 'data');
  const secondAt = performance.now();
  hasty.process.kill('SIGTERM');
  await ended;
  await lost;
  assert.ok(performance.now() - secondAt < 2_000, `ended after ${Math.round(performance.now() - secondAt)} ms`);
  await noneLeft(hasty.dataFolder);
});

test('a stop while Postgres is being started again leaves nothing running', async () => {
  await using virga = await startVirga();
  for (const pid of virga.pids()['postgres'] ?? assert.fail('no Postgres')) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it went with its parent
    }
  }
  while (!/Postgres ended unexpectedly/.test(virga.log())) await once(virga.process.stderr!, 'data');
  await virga.stop();
  assert.equal(virga.process.exitCode, 0);
  assert.deepEqual(leftovers(virga.dataFolder), []);
});

test('bin/virga works through a symlink, from any folder, and says what is missing when npm ci was not run', async () => {
  const link = join(folder, 'virga-link');
  await symlink(BIN, link);
  const { code, stdout } = await run(link, ['--version'], folder);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  // A clone in which nothing was installed.
  const clone = join(folder, 'clone');
  await mkdir(join(clone, 'bin'), { recursive: true });
  for (const name of ['virga', 'node']) await writeFile(join(clone, 'bin', name), readFileSync(join(ROOT, 'bin', name)), { mode: 0o755 });
  const bare = await run(join(clone, 'bin', 'virga'), ['--version'], folder);
  assert.notEqual(bare.code, 0);
  assert.match(bare.stderr, /npm ci/);
});

async function deploySlow(virga: Virga): Promise<void> {
  const deployed = await virga.deploy({
    'virga.yaml': 'project: p\nfunctions:\n  slow: { source: slow.ts, timeout: 60s, http: [{ path: /slow }] }\n',
    'slow.ts': `export default { async fetch(request) {
      await new Promise((done) => setTimeout(done, Number(new URL(request.url).searchParams.get('ms'))));
      return new Response('finished');
    } };`,
  });
  assert.equal(deployed.code, 0, deployed.stderr);
}

/** Until the function runs: before, there would be nothing to drain. */
async function untilBusy(virga: Virga): Promise<void> {
  const until = performance.now() + 10_000;
  while (performance.now() < until) {
    const { stdout } = await virga.cli(['status', '--json']);
    if (/"inFlight":\s*[1-9]/.test(stdout)) return;
  }
  assert.fail('the call never came to run');
}

/** Whatever was killed with its parent needs a moment. */
async function noneLeft(dataFolder: string): Promise<void> {
  const until = performance.now() + 2_000;
  while (leftovers(dataFolder).length > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(leftovers(dataFolder), []);
}

async function run(command: string, args: string[], cwd: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(command, args, { cwd, env: cleanEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}
