// The launcher role: the small process from which sandboxes are started (forking from a large one stalls its event loop).
// Composes the driver of this machine, the runtimes and the artifacts behind launcher.sock.
// Invariant: before it says ready, everything that an earlier launcher of the same data folder left is gone: processes,
// cgroups, sockets, half-written files (mounts went with it); nothing of another Virga's is touched. When it is killed, its
// sandboxes die with it. Callers: main.ts (a process of its own), in-process.ts (dev).
import { once } from 'node:events';
import { chmod, mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { blobsOf } from '../profiles/embedded.ts';
import { VirgaError } from '../protocol/errors.ts';
import { CODE, COMPILED, RuntimeCatalog } from '../runtimes/catalog.ts';
import { sweepCgroups, sweepCgroupsNow } from '../sandbox/cgroup/hierarchies.ts';
import type { Launch, Mount } from '../sandbox/driver.ts';
import { LauncherService } from '../sandbox/launcher/service.ts';
import { CHANNELS_SOCKET, LAUNCHER_SOCKET } from '../sandbox/launcher/wire.ts';
import { SandboxNetworks } from '../sandbox/network/network.ts';
import { killAll, markedProcesses } from '../sandbox/process-tree.ts';
import type { Assignment, SandboxSpec } from '../sandbox/sandbox.ts';
import { removeAbandoned } from '../store/abandoned.ts';
import { ArtifactFolders } from '../store/artifacts.ts';
import { CompiledCode } from './compiled-code.ts';
import { openDrivers } from './drivers.ts';
import { createPlatformLog } from './platform-log.ts';
import type { PlatformLog } from './platform-log.ts';
import type { RunningRole } from './role.ts';
import { sandboxScope } from './sandbox-scope.ts';
import { StartError } from './start-error.ts';

/** How long an earlier launcher, whose supervisor has died, may take to notice. */
const PREDECESSOR_MS = 1_500;
const SWEEP_MS = 5_000;
/** Networks kept ready for sandboxes to come: they are made several times faster than sandboxes boot. */
const NETWORKS_SPARE = 8;
const LOOPBACK = /^(127\.|::1$|localhost$)/;

export async function runLauncher(config: Config): Promise<RunningRole> {
  const log = createPlatformLog('launcher', config.log);
  const scope = await sandboxScope(config.dataFolder);
  const socketPath = join(config.runFolder, LAUNCHER_SOCKET);
  const runtimesFolder = join(config.dataFolder, 'runtimes');
  const artifactsFolder = join(config.dataFolder, 'artifacts');
  const compiledFolder = join(config.dataFolder, 'compiled');
  await waitForPredecessor(socketPath);
  // However this process ends, but by kill -9: in the middle of a start, of a close(), or when its supervisor is gone.
  const atExit = [() => sweepCgroupsNow(scope)];
  process.once('exit', () => atExit.forEach((put) => put()));
  await sweep(scope, [runtimesFolder, artifactsFolder, compiledFolder, join(config.dataFolder, 'blobs', 'incoming')], log);
  // Beside the catalog: each takes as long as the other.
  const opening = config.sandboxDriver === 'process' ? null : openNetworks(config, log);
  const catalog = await RuntimeCatalog.open(runtimesFolder);
  for (const folder of [artifactsFolder, compiledFolder]) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
  }
  const artifacts = new ArtifactFolders({ folder: artifactsFolder, compiledFolder, blobs: blobsOf(config), limits: config.limits });
  const folders = [artifactsFolder, compiledFolder, ...catalog.folders];
  const { driver, networks } = await openDrivers(config, { scope, folders, runFolder: config.runFolder }, opening);
  atExit.unshift(
    () => driver.closeNow(),
    () => networks?.closeNow(),
  );
  log('info', `sandboxes are started by ${driver.status.driver}`, { ...driver.status });
  const compiled = new CompiledCode({ config, driver, catalog, artifacts, folder: compiledFolder, log });
  await compiled.sweep(artifactsFolder);
  const service = new LauncherService({
    driver,
    runtimes: catalog.runtimes,
    boot: (spec) => bootOf(spec, catalog),
    files: (assignment, spec) => filesOf(assignment, spec, { artifacts, compiled }),
    fileTargets: [CODE, COMPILED],
    prepare: (artifact, runtime) => compiled.prepare(artifact, runtime),
    discardCompiled: (artifact, runtime) => compiled.discard(artifact, runtime),
    networks,
    socketPath,
    channelsPath: join(config.runFolder, CHANNELS_SOCKET),
    limits: config.limits,
  });
  await service.listen();
  return {
    close: async () => {
      await service.close();
      await compiled.close();
      await driver.close();
      await networks?.close();
    },
  };
}

function bootOf(spec: SandboxSpec, catalog: RuntimeCatalog): Omit<Launch, 'lateTargets' | 'background' | 'network'> {
  const boot = catalog.boot(spec.runtime, { memoryMiB: spec.memoryMiB });
  if (boot === null)
    throw new VirgaError(
      'sandbox_unavailable',
      `this node has no runtime '${spec.runtime}'; run scripts/prepare.ts to install what is missing`,
    );
  const { id, isolation, memoryMiB, cpus, tmpMiB, pids } = spec;
  return {
    id,
    isolation,
    memoryMiB,
    cpus,
    tmpMiB,
    pids,
    argv: boot.argv,
    env: boot.env,
    mounts: boot.mounts,
    cwd: CODE,
  };
}

async function filesOf(
  { artifact }: Assignment,
  { runtime }: SandboxSpec,
  from: { artifacts: ArtifactFolders; compiled: CompiledCode },
): Promise<Mount[]> {
  const code = { source: await from.artifacts.ensure(artifact), target: CODE };
  const compiled = from.compiled.find(artifact, runtime);
  return compiled === null ? [code] : [code, { source: compiled, target: COMPILED }];
}

export function openNetworks(config: Config, log: PlatformLog): Promise<SandboxNetworks> {
  const { limits, edgeHost, edgePort } = config;
  return SandboxNetworks.open({
    spare: NETWORKS_SPARE,
    max: limits.sandboxesMax + NETWORKS_SPARE,
    connectionsPerSandboxMax: limits.egressConnectionsPerSandboxMax,
    connectionsMax: limits.egressConnectionsMax,
    opened: config.egressPrivate,
    openPort: LOOPBACK.test(edgeHost) ? null : edgePort,
    resolvers: config.egressResolvers,
    log,
  });
}

async function sweep(scope: string, folders: string[], log: PlatformLog): Promise<void> {
  await sweepCgroups(scope);
  const left = markedProcesses(`${scope}/`);
  if (left.length > 0) log('warn', `${left.length} processes of an earlier launcher's sandboxes are killed`);
  const gone = await killAll(() => markedProcesses(`${scope}/`), { withinMs: SWEEP_MS });
  if (!gone) throw new StartError(`processes of an earlier launcher's sandboxes do not end: ${markedProcesses(`${scope}/`).join(', ')}`);
  for (const folder of folders) {
    const removed = await removeAbandoned(folder);
    if (removed > 0) log('info', `${removed} unfinished files of an earlier process were removed from ${folder}`);
  }
}

/** Two launchers on one folder would sweep each other's sandboxes away. */
async function waitForPredecessor(socketPath: string): Promise<void> {
  const until = performance.now() + PREDECESSOR_MS;
  while (await answers(socketPath)) {
    if (performance.now() > until) throw new StartError(`another launcher is serving ${socketPath}; stop it first`);
    await sleep(20);
  }
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
