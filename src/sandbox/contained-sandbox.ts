// A sandbox in namespaces and cgroups as the driver's child process that it is: how it is shown files, killed, measured and
// cleaned up, whatever program made it. Invariant: when `exited` resolves nothing of it is left: its processes are dead, its
// cgroups and its slot are gone. Callers: bubblewrap/, oci/.
import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import type { Cgroup } from './cgroup/cgroup.ts';
import { ChildSandbox } from './child-sandbox.ts';
import { MARK_VARIABLE } from './driver.ts';
import type { Launch, Mount, OutputSink } from './driver.ts';
import { MemoryWatcher } from './memory-watcher.ts';
import { descendants, killAll, markedProcesses, signal } from './process-tree.ts';
import type { SharedFolders } from './wall/wall.ts';

const CLEAN_UP_WITHIN_MS = 5_000;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Contained {
  launch: Launch;
  output: OutputSink;
  /** `<scope>/<id>`. */
  mark: string;
  cgroup: Cgroup;
  /** What it may hold, its machinery included. */
  limitBytes: number;
  /** Of those, what is not the guest's. */
  ownBytes: number;
  /** Whether nothing but a look at it now and then holds it to that. */
  watched: boolean;
  folders: SharedFolders | null;
  /** The empty folders behind its late targets. */
  slots: Mount[];
  /** After everything else. */
  removed(): Promise<void>;
}

/** `sh -c SCRIPT sh ARGS`, which becomes the outermost process of the sandbox. Fails when it cannot be started. */
export async function spawnContained(
  script: string,
  args: string[],
  stdio: SpawnOptions['stdio'],
  contained: Contained,
): Promise<ChildSandbox> {
  const child = spawn('/bin/sh', ['-c', script, 'sh', ...args], {
    ...(stdio === undefined ? {} : { stdio }),
    env: { PATH: SEARCH_PATH, [MARK_VARIABLE]: contained.mark },
    // Its own session: Ctrl-C in the terminal of Virga is for Virga, which drains first.
    detached: true,
    cwd: '/',
  });
  if (child.pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error];
    throw error;
  }
  return sandboxOf(child, child.pid, contained);
}

function sandboxOf(child: ChildProcess, pid: number, contained: Contained): ChildSandbox {
  const { launch, output, mark, cgroup, limitBytes, ownBytes, folders, slots } = contained;
  const watcher = contained.watched
    ? new MemoryWatcher({ limitBytes, pids: () => descendants(pid), kill: () => signal(pid, 'SIGKILL') })
    : null;
  const shown: Mount[] = [];
  return new ChildSandbox({
    child,
    controls: cgroup.controls,
    inside: (path) => path,
    show: async (mounts) => {
      const onSlots = mounts.map(({ source, target }) => ({
        source: folders!.inside(source),
        target: slots.find((slot) => slot.target === target)!.source,
      }));
      shown.push(...onSlots);
      await folders!.lateMounts.show(onSlots);
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
        await folders!.lateMounts.remove(launch.id, targets).catch(() => {});
      }
      const watched = watcher?.exceeded === true;
      const outOfMemory = watched || cgroup.outOfMemory();
      const usage = cgroup.usage();
      if (watcher !== null) Object.assign(usage, { peakMemoryBytes: watcher.peakBytes, memoryLimitOf: watched ? 'watcher' : null });
      if (usage.peakMemoryBytes !== null) usage.peakMemoryBytes = Math.max(0, usage.peakMemoryBytes - ownBytes);
      if (cgroup.entrances.length > 0) await cgroup.destroy({ withinMs: CLEAN_UP_WITHIN_MS });
      // The kernel is killing them; without a cgroup only their mark tells when it is done.
      else await killAll(() => markedProcesses(mark), { withinMs: CLEAN_UP_WITHIN_MS });
      await contained.removed();
      return { outOfMemory, usage };
    },
  });
}

/** A first sandbox, by which a driver proves that it works here. */
export function trialLaunch(argv: string[], network: string | null): Launch {
  const limits = { memoryMiB: 64, cpus: null, tmpMiB: 1, pids: 16 };
  const nothing = { env: {}, mounts: [], lateTargets: [] };
  return { id: 'probe', argv, ...nothing, cwd: '/', network, background: false, isolation: 'standard', ...limits };
}

export const NOBODY_LISTENS: OutputSink = { write: () => true, onceWelcome: (resume) => resume() };
