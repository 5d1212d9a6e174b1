// The OCI driver: a sandbox is a container of crun, runc or gVisor's runsc, run in the foreground. There is no daemon, no
// image and no state outside of the run folder. The chain of one start, each replacing the one before up to unshare:
//
//   sh (enters the cgroups)  →  nsenter (the wall: namespaces in which it is root, and nobody on the host)
//     →  setpriv (is to die with the launcher)  →  unshare (waits; its child is process 1 of a new pid namespace)
//     →  the runtime, that process 1  →  sh, process 1 of the container (runtimes.ts)  →  the guest
//
// Invariant: when process 1 dies, the kernel ends everything in the sandbox, whatever the runtime did; it dies with `unshare`, and
// that with the launcher. The runtime never has rights on the host: what escapes from a container into it has escaped to
// nobody. Callers: server/drivers.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { forbidCoreDumps } from '../core-dumps.ts';
import { RootWall } from '../wall/root-wall.ts';
import { UserWall } from '../wall/user-wall.ts';
import type { Wall } from '../wall/wall.ts';
import type { Cgroup } from '../cgroup/cgroup.ts';
import { Cgroups } from '../cgroup/hierarchies.ts';
import { ChildSandbox } from '../child-sandbox.ts';
import { MARK_VARIABLE } from '../driver.ts';
import type { Launch, LaunchedSandbox, Mount, Networking, OutputSink, SandboxDriver } from '../driver.ts';
import { closeInheritedDescriptors } from '../inherited-descriptors.ts';
import { MemoryWatcher } from '../memory-watcher.ts';
import { descendants, killAll, markedProcesses, signal } from '../process-tree.ts';
import type { SandboxDriverStatus } from '../sandbox.ts';
import { etcFiles, systemView } from '../system-view.ts';
import { bundleConfig, type SystemCallFilter } from './bundle.ts';
import { RootFolder } from './root-folder.ts';
import { CHANNEL_AS_STDIN, OWN_MEMORY_MIB, OWN_PIDS, findRuntime, runCommand, type OciRuntime } from './runtimes.ts';
import { systemCallFilter } from './system-call-filter.ts';

const CLEAN_UP_WITHIN_MS = 5_000;
/** Of a non-root user, the one uid that there is in its user namespace. */
const UID_INSIDE = 0;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MIB = 1024 * 1024;
const FILTER_IN_FORCE = `grep -q '^Seccomp:.*2' /proc/self/status || { echo 'it applies no filter of system calls' >&2; exit 1; }`;
/** Where a sandbox has a user namespace of its own: it is to be the last. */
const FORBID_USER_NAMESPACES = ['/bin/sh', '-c', 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', 'sh'];
/** The shell in front of the guest. */
const PIDS_INSIDE = 1;

export interface OciOptions {
  scope: string;
  /** They exist and hold everything that launches will mount. */
  folders: string[];
  runFolder: string;
  /** A name of RUNTIME_NAMES, or the path of one. */
  runtime: string;
  /** null: launches name no networks. */
  networking: Networking | null;
}

export class OciDriver implements SandboxDriver {
  readonly status: SandboxDriverStatus;
  readonly #runtime: OciRuntime;
  readonly #scope: string;
  /** Bundles and the state of the runtime, a folder for each sandbox. */
  readonly #folder: string;
  readonly #cgroups: Cgroups;
  readonly #wall: Wall;
  readonly #view = systemView();
  readonly #root: RootFolder;
  readonly #filter: SystemCallFilter | null;

  /**
   * Sweeps what an earlier launcher of the same scope left, then proves that a sandbox can be started. Fails with an
   * Error that says why not.
   */
  static async open(options: OciOptions): Promise<OciDriver> {
    const runtime = findRuntime(options.runtime);
    if (runtime === null) throw new Error(`${options.runtime} is not installed`);
    closeInheritedDescriptors();
    await forbidCoreDumps();
    const cgroups = await Cgroups.open(options.scope);
    let driver: OciDriver | undefined;
    try {
      const folder = join(options.runFolder, runtime.name);
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { mode: 0o700 });
      driver = new OciDriver(options, runtime, { folder, cgroups, wall: await openWall(options, runtime, folder) });
      await driver.#prove(options.networking?.trial ?? null);
      return driver;
    } catch (error) {
      await (driver ?? cgroups).close();
      throw error;
    }
  }

  private constructor({ scope, networking }: OciOptions, runtime: OciRuntime, parts: { folder: string; cgroups: Cgroups; wall: Wall }) {
    this.#runtime = runtime;
    this.#scope = scope;
    this.#folder = parts.folder;
    this.#cgroups = parts.cgroups;
    this.#wall = parts.wall;
    this.#root = new RootFolder(parts.folder, this.#view);
    const { filter, note } = systemCallFilter(runtime.name);
    this.#filter = filter;
    const limits = parts.cgroups.enforcement;
    const notes = [...parts.cgroups.notes, ...(note === null ? [] : [note])];
    if (limits.memory === null) notes.push('memory is watched ten times a second instead; files in /tmp do not count');
    const network = networking === null ? 'namespace' : 'relay';
    this.status = {
      driver: 'oci',
      runtime: runtime.name,
      // gVisor's kernel keeps its own table of mounts, which those of the host do not reach.
      lateFiles: runtime.name !== 'runsc',
      enforcement: { isolation: 'namespaces', ...limits, memory: limits.memory ?? 'watcher', tmp: 'tmpfs', network, notes },
    };
  }

  async start(launch: Launch, channel: Socket | 'ignore', output: OutputSink): Promise<LaunchedSandbox> {
    const { name } = this.#runtime;
    const limitBytes = (launch.memoryMiB + OWN_MEMORY_MIB[name]) * MIB;
    const cgroup = this.#cgroups.create(launch.id, {
      memoryBytes: limitBytes,
      cpus: launch.cpus,
      pids: launch.pids + OWN_PIDS[name],
      background: launch.background,
    });
    try {
      return await this.#spawn(launch, channel, output, cgroup, limitBytes);
    } catch (error) {
      await cgroup.destroy({ withinMs: CLEAN_UP_WITHIN_MS });
      rmSync(join(this.#folder, launch.id), { recursive: true, force: true });
      throw error;
    }
  }

  closeNow(): void {
    this.#cgroups.closeNow();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#cgroups.close();
    this.#wall.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #spawn(
    launch: Launch,
    channel: Socket | 'ignore',
    output: OutputSink,
    cgroup: Cgroup,
    limitBytes: number,
  ): Promise<LaunchedSandbox> {
    const { folders } = this.#wall;
    const slots = launch.lateTargets.length === 0 ? [] : await folders.lateMounts.slot(launch.id, launch.lateTargets);
    const shown: Mount[] = [];
    const mark = `${this.#scope}/${launch.id}`;
    const stdin = CHANNEL_AS_STDIN[this.#runtime.name];
    const enterCgroups = cgroup.entrances.map((_, index) => `echo 0 > "$${index + 1}" && `).join('');
    const script = `${enterCgroups}shift ${cgroup.entrances.length} || exit 1\nexec "$@"`;
    const child = spawn('/bin/sh', ['-c', script, 'sh', ...cgroup.entrances, ...this.#command(launch, slots)], {
      stdio: [stdin ? channel : 'ignore', 'pipe', 'pipe', stdin ? 'ignore' : channel],
      env: { PATH: SEARCH_PATH, [MARK_VARIABLE]: mark },
      // Its own session: Ctrl-C in the terminal of Virga is for Virga, which drains first.
      detached: true,
      cwd: '/',
    });
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw error;
    }
    const pid = child.pid;
    const watcher =
      this.#cgroups.enforcement.memory !== null
        ? null
        : new MemoryWatcher({ limitBytes, pids: () => descendants(pid), kill: () => signal(pid, 'SIGKILL') });
    return new ChildSandbox({
      child,
      controls: cgroup.controls,
      inside: (path) => path,
      show: async (mounts) => {
        const onSlots = mounts.map(({ source, target }) => ({
          source: folders.inside(source),
          target: slots.find((slot) => slot.target === target)!.source,
        }));
        shown.push(...onSlots);
        await folders.lateMounts.show(onSlots);
      },
      promote: () => cgroup.promote(),
      output,
      signalsAsCodes: true,
      killTree: () => {
        // The pid is only ours until its end has been reported.
        if (child.exitCode === null && child.signalCode === null) signal(pid, 'SIGKILL');
        cgroup.kill();
      },
      cleanUp: async () => {
        watcher?.stop();
        if (slots.length > 0) {
          const targets = shown.map(({ target }) => target);
          // What fails here is gone with the namespace; a sandbox that ended has ended all the same.
          await folders.lateMounts.remove(launch.id, targets).catch(() => {});
        }
        const outOfMemory = watcher?.exceeded === true || cgroup.outOfMemory();
        if (cgroup.entrances.length > 0) await cgroup.destroy({ withinMs: CLEAN_UP_WITHIN_MS });
        // The kernel is killing them; without a cgroup only their mark tells when it is done.
        else await killAll(() => markedProcesses(mark), { withinMs: CLEAN_UP_WITHIN_MS });
        await rm(join(this.#folder, launch.id), { recursive: true, force: true });
        return { outOfMemory };
      },
    });
  }

  /** Writes the bundle and says what runs it. */
  #command(launch: Launch, slots: Mount[]): string[] {
    const wall = this.#wall;
    const uid = wall.userNamespaceFd === null ? UID_INSIDE : wall.nextUid();
    for (const { source, target } of launch.mounts) this.#root.place(source, target);
    for (const { target } of slots) this.#root.place('/', target);
    const bundle = join(this.#folder, launch.id);
    mkdirSync(bundle, { mode: 0o755 });
    const state = join(bundle, 'state');
    mkdirSync(state, { mode: 0o700 });
    chownSync(state, wall.rootUid, wall.rootUid);
    const seen = (path: string): string => wall.folders.inside(path);
    const passwd = join(bundle, 'passwd');
    writeFileSync(passwd, etcFiles(uid)[0]![1]);
    const config = bundleConfig({
      runtime: this.#runtime.name,
      launch,
      view: this.#view,
      uid,
      root: seen(this.#root.path),
      devices: seen(this.#root.devices),
      passwd: seen(passwd),
      mounts: launch.mounts.map(({ source, target }) => ({ source: seen(source), target })),
      slots,
      filter: this.#filter,
      pids: wall.userNamespaceFd === null ? null : launch.pids + PIDS_INSIDE,
      networkJoined: launch.network !== null,
    });
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
    const run = runCommand(this.#runtime, {
      id: launch.id,
      bundle: seen(bundle),
      state: seen(state),
      networkJoined: launch.network !== null,
    });
    const unshare = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'slave'];
    const shared = wall.userNamespaceFd !== null;
    if (!shared) unshare.push('--user', '--map-root-user');
    const forbid = shared || this.#runtime.name === 'runsc' ? [] : FORBID_USER_NAMESPACES;
    return [...wall.enterAsRoot(launch.network), 'setpriv', '--pdeathsig', 'KILL', '--', ...unshare, '--', ...forbid, ...run];
  }

  /** Runs a sandbox that looks whether its filter of system calls is in force: an annotation is easily passed over. */
  async #prove(network: string | null): Promise<void> {
    const nobody: OutputSink = { write: () => true, onceWelcome: (resume) => resume() };
    const launch: Launch = {
      id: 'probe',
      argv: this.#filter === null ? ['/bin/true'] : ['/bin/sh', '-c', FILTER_IN_FORCE],
      env: {},
      mounts: [],
      lateTargets: [],
      cwd: '/',
      network,
      background: false,
      isolation: 'standard',
      memoryMiB: 64,
      cpus: null,
      tmpMiB: 1,
      pids: 16,
    };
    const exit = await (await this.start(launch, 'ignore', nobody)).exited;
    if (exit.code !== 0)
      throw new Error(`${this.#runtime.program}: ${exit.stderrTail.trim() || `a trial sandbox ended with ${exit.code ?? exit.signal}`}`);
  }
}

function openWall({ scope, folders, networking }: OciOptions, { name }: OciRuntime, work: string): Promise<Wall> {
  if (process.getuid?.() !== 0) return UserWall.open(folders, { within: networking?.userNamespace ?? null, work });
  const range = name === 'runsc' ? 1 : 0;
  // runsc makes a user namespace of its own; what its guests ask for, it answers itself, from inside a filter of its own.
  return RootWall.open({ scope, folders, containers: { work, range, nested: name === 'runsc' } });
}
