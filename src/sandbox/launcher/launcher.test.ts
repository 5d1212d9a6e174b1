// The edge's side and the launcher's side of launcher.sock against each other, with real sockets and real sandboxes.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { newId } from '../../lib/ids.ts';
import { VirgaError } from '../../protocol/errors.ts';
import type { Launch, Mount } from '../driver.ts';
import { NodeDriver } from '../node-driver.ts';
import { ProcessDriver } from '../process/process.ts';
import { isAlive } from '../process-tree.ts';
import type { SandboxSpec } from '../sandbox.ts';
import { LauncherClient } from './client.ts';
import { LauncherService } from './service.ts';
import { CHANNELS_SOCKET, LAUNCHER_SOCKET } from './wire.ts';

/** Answers each chunk on fd 3 with its own pid; `die N` exits with N. */
const GUEST = `
  const channel = new (require('net').Socket)({ fd: 3 });
  channel.on('data', (data) => String(data).startsWith('die') ? process.exit(Number(String(data).slice(4))) : channel.write(String(process.pid)));
  channel.on('end', () => process.exit(0));
  channel.write('up');`;

const network = { project: 'p', function: 'f', version: 1, egress: 'internet' as const };
const CODE = { artifact: 'a'.repeat(64), network };

class Pair implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'virga-launcher-'));
  readonly limits = { sandboxesMax: 3, startsInFlightMax: 1 };
  service: LauncherService | undefined;
  output = '';
  readonly client: LauncherClient;
  program = GUEST;

  constructor() {
    this.client = new LauncherClient({ runFolder: this.folder });
    this.client.outputTo((_id, text) => (this.output += text));
  }

  static async make(): Promise<Pair> {
    const pair = new Pair();
    await pair.startService();
    await pair.client.connected();
    return pair;
  }

  async startService(): Promise<void> {
    const driver = await ProcessDriver.open({ scope: newId('ins'), reason: 'a test', warn: () => {} });
    this.service = new LauncherService({
      runtimes: [],
      driver: new NodeDriver(driver, 'a test has none'),
      boot: (spec) => this.#boot(spec),
      files: async ({ artifact }) => this.#files(artifact),
      fileTargets: ['/code', '/compiled'],
      prepare: () => {},
      discardCompiled: () => {},
      networks: null,
      socketPath: join(this.folder, LAUNCHER_SOCKET),
      channelsPath: join(this.folder, CHANNELS_SOCKET),
      limits: this.limits,
    });
    await this.service.listen();
  }

  spec(changes: Partial<SandboxSpec> = {}): SandboxSpec {
    return { id: newId('sbx'), runtime: 'nodejs26', memoryMiB: 128, cpus: null, tmpMiB: 8, pids: 64, isolation: 'standard', ...changes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.service?.close();
    assert.equal(existsSync(join(this.folder, LAUNCHER_SOCKET)), false);
    assert.equal(existsSync(join(this.folder, CHANNELS_SOCKET)), false);
    rmSync(this.folder, { recursive: true });
  }

  #files(artifact: string): Mount[] {
    if (artifact.startsWith('0')) throw new VirgaError('artifact_not_found', `there is no artifact '${artifact}'`);
    return [{ source: this.folder, target: '/code' }];
  }

  #boot(spec: SandboxSpec): Omit<Launch, 'lateTargets' | 'background' | 'network'> {
    const { id, isolation, memoryMiB, cpus, tmpMiB, pids } = spec;
    const mounts = [{ source: dirname(process.execPath), target: '/runtime' }];
    return { id, isolation, memoryMiB, cpus, tmpMiB, pids, mounts, cwd: '/code', argv: ['/runtime/node', '-e', this.program], env: {} };
  }
}

async function read(channel: NodeJS.ReadableStream): Promise<string> {
  const [chunk] = (await once(channel, 'data')) as [Buffer];
  return chunk.toString();
}

test('a started sandbox talks over its channel, from its first byte, and its end is reported', async () => {
  await using pair = await Pair.make();
  const sandbox = await pair.client.start(pair.spec(), CODE);
  assert.equal(await read(sandbox.channel), 'up');
  sandbox.channel.write('who');
  assert.equal(isAlive(Number(await read(sandbox.channel))), true);
  assert.equal(sandbox.codeFolder, pair.folder);
  sandbox.channel.write('die 5');
  const exit = await sandbox.exited;
  assert.deepEqual([exit.code, exit.signal, exit.outOfMemory], [5, null, false]);
});

test('kill() ends a sandbox, and a second kill() is no error', async () => {
  await using pair = await Pair.make();
  const sandbox = await pair.client.start(pair.spec(), CODE);
  await Promise.all([sandbox.kill(), sandbox.kill()]);
  assert.equal((await sandbox.exited).signal, 'SIGKILL');
  await sandbox.kill();
});

test('raw output of a sandbox arrives', async () => {
  await using pair = await Pair.make();
  pair.program = `console.log('printed'); process.exitCode = 1`;
  const sandbox = await pair.client.start(pair.spec(), CODE);
  await sandbox.exited;
  assert.equal(pair.output, 'printed\n');
});

test('starts beyond the number and the memory of the node are refused with the limit', async () => {
  await using pair = await Pair.make();
  const sandboxes = await Promise.all([1, 2, 3].map(() => pair.client.start(pair.spec(), CODE)));
  await assert.rejects(pair.client.start(pair.spec(), CODE), { code: 'sandbox_unavailable', message: /3 sandboxes.*sandboxesMax/ });
  await sandboxes[0]!.kill();
  const again = await pair.client.start(pair.spec(), CODE);
  await again.kill();
});

test('what files() fails with reaches the caller, and no sandbox is left over', async () => {
  await using pair = await Pair.make();
  for (let i = 0; i < 5; i++) {
    await assert.rejects(pair.client.start(pair.spec(), { artifact: '0'.repeat(64), network }), { code: 'artifact_not_found' });
  }
  await (await pair.client.start(pair.spec(), CODE)).kill();
});

test('a blank gets its version while it runs, once, and one that cannot have it is of no use', async () => {
  await using pair = await Pair.make();
  const blank = await pair.client.start(pair.spec(), null);
  assert.equal(blank.codeFolder, null);
  assert.equal(await read(blank.channel), 'up');
  await blank.assign(CODE);
  assert.equal(blank.codeFolder, pair.folder);
  await assert.rejects(blank.assign(CODE), { code: 'conflict' });
  await blank.kill();
  await assert.rejects(blank.assign(CODE), { code: 'sandbox_unavailable' });

  const other = await pair.client.start(pair.spec(), null);
  await assert.rejects(other.assign({ artifact: '0'.repeat(64), network }), { code: 'artifact_not_found' });
  await other.kill();
});

test('a blank that ends while it is given its version says so', async () => {
  await using pair = await Pair.make();
  const blank = await pair.client.start(pair.spec(), null);
  blank.channel.write('die 7');
  await blank.exited;
  await assert.rejects(blank.assign(CODE), { code: 'sandbox_unavailable' });
});

test('a spec that is none is refused', async () => {
  await using pair = await Pair.make();
  for (const spec of [pair.spec({ id: 'sbx_../x' }), pair.spec({ memoryMiB: -1 }), pair.spec({ pids: Number.NaN })]) {
    await assert.rejects(pair.client.start(spec, CODE), { code: 'invalid_request' });
  }
});

test('when the launcher is gone its sandboxes have exited, starts fail at once, and it is found again', async () => {
  await using pair = await Pair.make();
  const sandbox = await pair.client.start(pair.spec(), CODE);
  await pair.service!.close();
  assert.notEqual((await sandbox.exited).code, 0);
  assert.equal(pair.client.status(), undefined);
  await assert.rejects(pair.client.start(pair.spec(), CODE), { code: 'sandbox_unavailable', message: /not connected/ });
  await pair.startService();
  await pair.client.connected();
  assert.equal(pair.client.status()?.driver, 'process');
  await (await pair.client.start(pair.spec(), CODE)).kill();
});

test('when the edge is gone its sandboxes are killed', async () => {
  await using pair = await Pair.make();
  const sandbox = await pair.client.start(pair.spec(), CODE);
  assert.equal(await read(sandbox.channel), 'up');
  sandbox.channel.write('who');
  const pid = Number(await read(sandbox.channel));
  await pair.client.close();
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  sandbox.channel.destroy();
});

test('a connection that names no expected sandbox is closed', async () => {
  await using pair = await Pair.make();
  const stranger = connect(join(pair.folder, CHANNELS_SOCKET));
  stranger.write('sbx_unknown\n');
  await once(stranger.resume(), 'close');
});

test('a malformed line ends the connection, and the launcher lives on', async () => {
  await using pair = await Pair.make();
  const stranger = connect(join(pair.folder, LAUNCHER_SOCKET));
  stranger.on('error', () => {});
  stranger.write('{"op":"start"}\nnot json\n');
  await once(stranger.resume(), 'close');
  await (await pair.client.start(pair.spec(), CODE)).kill();
});
