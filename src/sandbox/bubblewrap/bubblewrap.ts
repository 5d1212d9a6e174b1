// The bubblewrap driver: a sandbox in namespaces of its own (user, mount, pid, net, ipc, uts, cgroup), with a read-only
// root, a system call filter, no capabilities, and cgroup limits. The chain of one start, each replacing the one before:
//
//   sh (enters the cgroups: nothing of the guest runs outside of them)  →  nsenter (into its network; as root: wall/root-wall.ts)
//     →  bwrap (stays outside as the monitor; its child is process 1 inside)  →  the guest
//
// Measured on 2 cores, idle, until a Node 26 guest's first byte on fd 3: node alone 17 ms, +bwrap 3 ms, +sh 0.5 ms,
// +nsenter 1 ms, +cgroups v1 under 1 ms (v2: see cgroup.ts, ENTRANCE_V1). CPU of a whole life with the Node guest: 29 ms,
// of which node 18 ms and the guest's own boot 5 ms.
// Invariant: killing the monitor kills process 1 (--die-with-parent), and with it, by the kernel, everything inside; the
// monitor itself dies with the launcher. Caller: server/launcher.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { release } from 'node:os';
import { join } from 'node:path';
import { Cgroups } from '../cgroup/hierarchies.ts';
import type { Cgroup } from '../cgroup/cgroup.ts';
import { ChildSandbox } from '../child-sandbox.ts';
import { MARK_VARIABLE } from '../driver.ts';
import type { Launch, LaunchedSandbox, Mount, Networking, OutputSink, SandboxDriver } from '../driver.ts';
import { closeInheritedDescriptors } from '../inherited-descriptors.ts';
import { MemoryWatcher } from '../memory-watcher.ts';
import { descendants, killAll, markedProcesses, signal } from '../process-tree.ts';
import type { SandboxDriverStatus } from '../sandbox.ts';
import { etcFiles } from '../system-view.ts';
import { ETC_FD_FIRST, bubblewrapArguments, systemArguments } from './arguments.ts';
import { forbidCoreDumps } from '../core-dumps.ts';
import { RootWall } from '../wall/root-wall.ts';
import { UserWall } from '../wall/user-wall.ts';
import type { Wall } from '../wall/wall.ts';
import { seccompFilter } from '../system-calls/seccomp.ts';

const CLEAN_UP_WITHIN_MS = 5_000;
/** Of a non-root user: the uid inside is a plain one, as everywhere. */
const UID_INSIDE = 1000;
/** bubblewrap's monitor and process 1, which count against the pids limit beside what the guest was promised. */
const OWN_PIDS = 2;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface BubblewrapOptions {
  scope: string;
  folders: string[];
  runFolder: string;
  /** null: launches name no networks. */
  networking: Networking | null;
}

export class BubblewrapDriver implements SandboxDriver {
  readonly status: SandboxDriverStatus;
  readonly #scope: string;
  readonly #cgroups: Cgroups;
  readonly #wall: Wall | null;
  readonly #system = systemArguments();
  readonly #script: string;
  /** Path of the system call filter; null where there is none for this processor. */
  readonly #filter: string | null;
  readonly #networking: BubblewrapOptions['networking'];

  /**
   * Sweeps what an earlier launcher of the same scope left, then proves that a sandbox can be started. Fails with an
   * Error that says why not. `folders` exist and hold everything that launches will mount.
   */
  static async open(options: BubblewrapOptions): Promise<BubblewrapDriver> {
    closeInheritedDescriptors();
    await forbidCoreDumps();
    const cgroups = await Cgroups.open(options.scope);
    let driver: BubblewrapDriver | undefined;
    try {
      const wall = await openWall(options);
      driver = new BubblewrapDriver(options, cgroups, wall);
      await driver.#prove();
      return driver;
    } catch (error) {
      await (driver ?? cgroups).close();
      throw error;
    }
  }

  private constructor({ scope, runFolder, networking }: BubblewrapOptions, cgroups: Cgroups, wall: Wall | null) {
    this.#scope = scope;
    this.#cgroups = cgroups;
    this.#wall = wall;
    this.#networking = networking;
    const limits = cgroups.enforcement;
    const notes = [...cgroups.notes];
    const pids = limits.pids ?? (processesCountPerNamespace() ? 'rlimit' : null);
    if (limits.pids === null && pids !== null) notes.push('pids is held by RLIMIT_NPROC of the user namespace instead');
    if (limits.memory === null) notes.push('memory is watched ten times a second instead; files in /tmp do not count');
    const filter = seccompFilter();
    this.#filter = filter === null ? null : join(runFolder, 'seccomp.bpf');
    if (filter !== null) writeFileSync(this.#filter!, filter, { mode: 0o600 });
    else notes.push(`there is no system call filter for ${process.arch}`);
    if (wall === null) notes.push('no sandboxes are booted ahead: this user may not mount in a namespace of its own');
    this.status = {
      driver: 'bubblewrap',
      runtime: null,
      lateFiles: wall !== null,
      enforcement: {
        isolation: 'namespaces',
        ...limits,
        pids,
        memory: limits.memory ?? 'watcher',
        tmp: 'tmpfs',
        network: networking === null ? 'namespace' : 'relay',
        notes,
      },
    };
    // $1… are the cgroups' entrances, then the contents of the files in /etc, then the command. The redirections outlive exec.
    const entrances = cgroups.hierarchies.length;
    const enter = cgroups.hierarchies.map((_, index) => `echo 0 > "$${index + 1}" && `).join('');
    const files = etcFiles(0).map((_, index) => `exec ${ETC_FD_FIRST + index}<<END\n$${index + 1}\nEND\n`);
    this.#script = `${enter}shift ${entrances} || exit 1\n${files.join('')}shift ${files.length}\nexec "$@"`;
  }

  async start(launch: Launch, channel: Socket | 'ignore', output: OutputSink): Promise<LaunchedSandbox> {
    const limitBytes = launch.memoryMiB * 1024 * 1024;
    const cgroup = this.#cgroups.create(launch.id, {
      memoryBytes: limitBytes,
      cpus: launch.cpus,
      pids: launch.pids + OWN_PIDS,
      background: launch.background,
    });
    try {
      return await this.#spawn(launch, channel, output, cgroup, limitBytes);
    } catch (error) {
      await cgroup.destroy({ withinMs: CLEAN_UP_WITHIN_MS });
      throw error;
    }
  }

  closeNow(): void {
    this.#cgroups.closeNow();
  }

  async close(): Promise<void> {
    await this.#cgroups.close();
    this.#wall?.close();
  }

  async #spawn(
    launch: Launch,
    channel: Socket | 'ignore',
    output: OutputSink,
    cgroup: Cgroup,
    limitBytes: number,
  ): Promise<LaunchedSandbox> {
    const wall = this.#wall;
    const userNamespaceFd = wall?.userNamespaceFd ?? null;
    const uid = wall === null ? UID_INSIDE : wall.nextUid();
    const byLimit = this.status.enforcement.pids === 'rlimit' ? ['prlimit', `--nproc=${launch.pids + OWN_PIDS}`, '--'] : [];
    const slots = launch.lateTargets.length === 0 ? [] : await wall!.folders.lateMounts.slot(launch.id, launch.lateTargets);
    const inWall = ({ source, target }: Mount): Mount => ({ source: wall?.folders.inside(source) ?? source, target });
    const seen: Launch = { ...launch, argv: [...byLimit, ...launch.argv], mounts: [...launch.mounts.map(inWall), ...slots] };
    const shown: Mount[] = [];
    const args = bubblewrapArguments(seen, this.#system, {
      uid,
      sharedUserNamespace: userNamespaceFd !== null,
      filtered: this.#filter !== null,
    });
    const command = [...(wall?.enter(launch.network) ?? this.#enterNetwork(launch.network)), 'bwrap', ...args];
    const filterFd = this.#filter === null ? null : openSync(this.#filter, 'r');
    const mark = `${this.#scope}/${launch.id}`;
    const child = spawn(
      '/bin/sh',
      ['-c', this.#script, 'sh', ...cgroup.entrances, ...etcFiles(uid).map(([, contents]) => contents), ...command],
      {
        // 3 the channel, 4 USER_NAMESPACE_FD, 5 SECCOMP_FD.
        stdio: ['ignore', 'pipe', 'pipe', channel, userNamespaceFd ?? 'ignore', filterFd ?? 'ignore'],
        env: { PATH: SEARCH_PATH, [MARK_VARIABLE]: mark },
        // Its own session: Ctrl-C in the terminal of Virga is for Virga, which drains first.
        detached: true,
        cwd: '/',
      },
    );
    if (filterFd !== null) closeSync(filterFd);
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
        const onSlots = mounts.map((mount) => ({
          source: inWall(mount).source,
          target: slots.find((slot) => slot.target === mount.target)!.source,
        }));
        shown.push(...onSlots);
        await wall!.folders.lateMounts.show(onSlots);
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
        if (slots.length > 0) await removeSlot(wall!, launch.id, shown);
        const watched = watcher?.exceeded === true;
        const outOfMemory = watched || cgroup.outOfMemory();
        const usage = cgroup.usage();
        if (watcher !== null) Object.assign(usage, { peakMemoryBytes: watcher.peakBytes, memoryLimitOf: watched ? 'watcher' : null });
        if (cgroup.entrances.length > 0) await cgroup.destroy({ withinMs: CLEAN_UP_WITHIN_MS });
        // The kernel is killing them; without a cgroup only their mark tells when it is done.
        else await killAll(() => markedProcesses(mark), { withinMs: CLEAN_UP_WITHIN_MS });
        return { outOfMemory, usage };
      },
    });
  }

  /** Of a user who is not root: a network can be joined only from the user namespace that it belongs to. */
  #enterNetwork(network: string | null): string[] {
    if (network === null) return [];
    return ['nsenter', `--user=${this.#networking!.userNamespace}`, '--preserve-credentials', `--net=${network}`, '--'];
  }

  /** Runs `true` in a sandbox. */
  async #prove(): Promise<void> {
    const nobody: OutputSink = { write: () => true, onceWelcome: (resume) => resume() };
    const launch: Launch = {
      id: 'probe',
      argv: ['/bin/true'],
      env: {},
      mounts: [],
      lateTargets: [],
      cwd: '/',
      network: this.#networking?.trial ?? null,
      background: false,
      isolation: 'standard',
      memoryMiB: 64,
      cpus: null,
      tmpMiB: 1,
      pids: 16,
    };
    const exit = await (await this.start(launch, 'ignore', nobody)).exited;
    if (exit.code !== 0) throw new Error(exit.stderrTail.trim() || `a trial sandbox ended with ${exit.code ?? exit.signal}`);
  }
}

/** Without one (an old kernel, an unusual mount) sandboxes work all the same, but cannot be shown files when they run. */
async function openWall({ scope, folders, networking }: BubblewrapOptions): Promise<Wall | null> {
  if (process.getuid?.() === 0) return await RootWall.open({ scope, folders });
  return await UserWall.open(folders, { within: networking?.userNamespace ?? null }).catch(() => null);
}

async function removeSlot(wall: Wall, id: string, shown: Mount[]): Promise<void> {
  const targets = shown.map(({ target }) => target);
  // What fails here is gone with the namespace; a sandbox that ended has ended all the same.
  await wall.folders.lateMounts.remove(id, targets).catch(() => {});
}

/** From Linux 5.14 RLIMIT_NPROC counts within a user namespace; before, it counts all processes that the user has anywhere. */
function processesCountPerNamespace(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 14);
}
