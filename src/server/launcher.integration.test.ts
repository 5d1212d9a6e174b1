// The launcher role with real runtimes in real sandboxes: that each boots, and that nothing outlives a launcher that is
// killed with -9, whatever it was doing.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import type { Config } from '../config/config.ts';
import { newId } from '../lib/ids.ts';
import { FrameReader, FrameType, encodeJsonFrame, type Frame, type HelloPayload, type InitPayload } from '../protocol/frames.ts';
import { RUNTIMES, type RuntimeName } from '../protocol/settings.ts';
import { LauncherClient } from '../sandbox/launcher/client.ts';
import { MARK_VARIABLE } from '../sandbox/driver.ts';
import { isAlive, markedProcesses } from '../sandbox/process-tree.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { DiskBlobs } from '../store/blobs/disk.ts';

// 0700, as the supervisor makes it: no sandbox's uid could walk into it.
const dataFolder = realpathSync(mkdtempSync(join(tmpdir(), 'virga-launcher-role-')));
const scope = createHash('sha256').update(dataFolder).digest('hex').slice(0, 12);
const limits = {
  sandboxesMax: 10,
  sandboxMemoryMiB: 4_000,
  startsInFlightMax: 2,
  artifactUnpackedBytesMax: 1e6,
  artifactFilesMax: 100,
  egressConnectionsPerSandboxMax: 8,
  egressConnectionsMax: 16,
};
const config = {
  dataFolder,
  runFolder: join(dataFolder, 'run'),
  log: 'json',
  sandboxDriver: 'auto',
  ociRuntime: 'auto',
  edgeHost: '127.0.0.1',
  egressPrivate: [],
  egressResolvers: null,
  limits,
} as unknown as Config;
let artifact: string;
const network = { project: 'p', function: 'f', version: 1, egress: 'internet' as const };
let client: LauncherClient;
let launcher: ChildProcess;

before(async () => {
  mkdirSync(config.runFolder, { mode: 0o700 });
  const archive = pack();
  archive.entry({ name: 'index.mjs' }, 'export const handler = async () => 1');
  archive.entry({ name: 'main.py' }, 'def handler(event, context):\n  return 1\n');
  archive.finalize();
  const bytes = gzipSync(await buffer(archive));
  artifact = createHash('sha256').update(bytes).digest('hex');
  await new DiskBlobs(dataFolder).put(artifact, Readable.from([bytes]), { maxBytes: 1e6 });
  client = new LauncherClient(config);
  launcher = await startLauncher();
  await client.connected();
});

after(async () => {
  await client.close();
  const ended = once(launcher, 'exit');
  launcher.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual([markedProcesses(`${scope}/`), cgroups(), readdirSync(config.runFolder)], [[], [], ['seccomp.bpf']]);
  rmSync(dataFolder, { recursive: true });
});

async function startLauncher(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'launcher-under-test.ts'), JSON.stringify(config)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = once(child, 'exit').then(() => assert.fail(`the launcher ended: ${said}`));
  ended.catch(() => {});
  await Promise.race([once(child.stdout, 'data'), ended]);
  return child;
}

async function startSandbox(runtime: RuntimeName): Promise<{ sandbox: Sandbox; next: (type: number) => Promise<Frame> }> {
  const sandbox = await client.start(
    { id: newId('sbx'), runtime, memoryMiB: 128, cpus: null, tmpMiB: 8, pids: 64, isolation: 'standard' },
    { artifact, network },
  );
  const frames: Frame[] = [];
  const waiting: { type: number; take: (frame: Frame) => void }[] = [];
  const reader = new FrameReader((frame) => {
    frames.push({ ...frame, payload: Buffer.from(frame.payload) });
    for (const { type, take } of waiting) if (type === frame.type) take(frames.at(-1)!);
  });
  sandbox.channel.on('data', (chunk: Buffer) => reader.push(chunk));
  sandbox.channel.on('error', () => {});
  const next = (type: number): Promise<Frame> => {
    const seen = frames.find((frame) => frame.type === type);
    const frame = seen === undefined ? new Promise<Frame>((take) => waiting.push({ type, take })) : Promise.resolve(seen);
    return Promise.race([frame, sandbox.exited.then((exit) => assert.fail(JSON.stringify(exit)))]);
  };
  return { sandbox, next };
}

function cgroups(): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'latin1')
    .split('\n')
    .map((line) => line.split(' '));
  const found = mounts
    .filter(([, , type]) => type?.startsWith('cgroup'))
    .flatMap(([, path]) => readdirSync(path!).map((name) => join(path!, name)));
  return found.filter((path) => path.endsWith(scope));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

for (const runtime of RUNTIMES) {
  test(`${runtime} boots in a sandbox, loads its code, and stops when asked`, async () => {
    const { sandbox, next } = await startSandbox(runtime);
    const hello = JSON.parse((await next(FrameType.HELLO)).payload.toString()) as HelloPayload;
    assert.equal(hello.runtime, runtime);
    const handler = runtime === 'python3' ? 'main.py' : 'index.mjs';
    const codeFolder = sandbox.codeFolder!;
    const init: InitPayload = {
      project: 'p',
      function: 'f',
      version: 1,
      codeFolder,
      handler,
      runtime,
      env: {},
      memoryMiB: 128,
      timeoutMs: 1_000,
      concurrency: 1,
      logBytesPerSecond: 1_000,
    };
    sandbox.channel.write(encodeJsonFrame(FrameType.INIT, init));
    await next(FrameType.READY);
    sandbox.channel.write(encodeJsonFrame(FrameType.STOP, {}));
    assert.equal((await sandbox.exited).code, 0);
  });
}

test('an artifact that was never stored is named in the refusal', async () => {
  const spec = {
    id: newId('sbx'),
    runtime: 'nodejs26',
    memoryMiB: 128,
    cpus: null,
    tmpMiB: 8,
    pids: 64,
    isolation: 'standard',
  } as const;
  await assert.rejects(client.start(spec, { artifact: 'f'.repeat(64), network }), { code: 'artifact_not_found', message: /fff/ });
});

test('sandboxes die with a launcher that is killed with -9; the next one removes what it left and serves', async () => {
  const { sandbox, next } = await startSandbox('nodejs26');
  await next(FrameType.HELLO);
  const pids = markedProcesses(`${scope}/`);
  assert.ok(pids.length > 0);
  launcher.kill('SIGKILL');
  assert.match((await sandbox.exited).stderrTail, /launcher ended/);
  await until(() => markedProcesses(`${scope}/`).length === 0);

  // Worse than what happens: something that did not die, in a cgroup and out of it; a folder half unpacked.
  const mark = { [MARK_VARIABLE]: `${scope}/sbx_orphan` };
  const orphan = spawn('sleep', ['1000'], { env: mark, stdio: 'ignore', detached: true });
  const stranger = spawn('sleep', ['1000'], { env: { [MARK_VARIABLE]: '0123456789ab/sbx_other' }, stdio: 'ignore', detached: true });
  await Promise.all([once(orphan, 'spawn'), once(stranger, 'spawn')]);
  const orphanEnds = once(orphan, 'exit');
  for (const path of cgroups()) mkdirSync(join(path, 'sbx_orphan'));
  const unfinished = join(dataFolder, 'artifacts', `.unpacking-${sandboxOfTheDead(pids)}-abc`);
  mkdirSync(unfinished);

  launcher = await startLauncher();
  assert.deepEqual(await orphanEnds, [null, 'SIGKILL']);
  assert.equal(stranger.exitCode ?? stranger.signalCode, null);
  assert.equal(existsSync(unfinished), false);
  for (const path of cgroups())
    assert.deepEqual(
      readdirSync(path).filter((name) => name.startsWith('sbx_')),
      [],
    );
  stranger.kill('SIGKILL');
  await client.connected();
  const again = await startSandbox('nodejs26');
  await again.next(FrameType.HELLO);
  await again.sandbox.kill();
});

test('a second launcher on the same folder refuses to start', async () => {
  await assert.rejects(startLauncher(), /another launcher is serving/);
});

/** A pid that nobody has any more. */
function sandboxOfTheDead(pids: number[]): number {
  return pids.find((pid) => !isAlive(pid)) ?? 2 ** 22 - 1;
}
