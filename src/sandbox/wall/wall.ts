// What surrounds the sandboxes of one launcher: namespaces of its own, made once, in which the folders that sandboxes are
// given something from lie read-only on a private tmpfs, beside the slots through which those that run are shown files
// (late-mounts.ts). Each sandbox starts inside of them.
// Invariant: they live by file descriptors of this process alone (and of what it started); when it ends in any way, they
// and the mounts in them are gone. Implemented by root-wall.ts and user-wall.ts; used by the drivers.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, realpathSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { LateMounts, type MountPort } from './late-mounts.ts';

export interface Wall {
  /** The user namespace that each sandbox joins; null: each has one of its own. */
  readonly userNamespaceFd: number | null;
  /** What to put before the command of a sandbox; `network` is the path of a network namespace to join. */
  enter(network: string | null): string[];
  /** The same for a container runtime, which is to be root of the user namespace, and so nobody on the host. */
  enterAsRoot(network: string | null): string[];
  /** As the host counts it, the uid of that root. */
  readonly rootUid: number;
  readonly folders: SharedFolders;
  /** Of the next sandbox, as counted inside. */
  nextUid(): number;
  close(): void;
}

/** Where the private mounts may go: the first of these that exists and does not hide what it must show. */
const PLACES = ['/mnt', '/media', '/srv', '/opt', '/tmp', '/run'];

/** What container runtimes write to, below the place. */
const WORK = 'work';

/** Slots of sandboxes (late-mounts.ts), below the place. */
const SLOTS = 'slots';

// What is bound from the read-only mounts is read-only by that. The slots are a mount of their own because only they are
// shared: sandboxes are to hear of what is mounted there, and of nothing else. Container runtimes are kept from cgroups: a
// sandbox is in its own before they run, and crun refuses a machine that has v2 beside v1.
const MOUNT_SCRIPT = `
base="$1"; work="$2"; shift 2
mount -t tmpfs -o mode=0755,size=1m virga "$base"
n=0; places=
for source; do places="$places $base/$n"; n=$((n + 1)); done
mkdir $places \${work:+"$base/${WORK}"} "$base/${SLOTS}"
n=0
for source; do
  mount -o bind,ro,nosuid,nodev "$source" "$base/$n"; n=$((n + 1))
done
if [ -n "$work" ]; then
  mount --bind "$work" "$base/${WORK}"
  for place in /sys/fs/cgroup/*/ /sys/fs/cgroup; do mount -o remount,bind,ro "$place" 2>/dev/null || :; done
  if [ "$(stat -f -c %T /sys/fs/cgroup/unified 2>/dev/null)" = cgroup2fs ]; then
    mount -t tmpfs -o ro,size=4k virga /sys/fs/cgroup/unified
  fi
fi
mount -t tmpfs -o mode=0755,size=16m virga "$base/${SLOTS}"
mount --make-shared "$base/${SLOTS}"
echo ready
read -r _`;

interface Plan {
  base: string;
  /** Real paths, in the order of their numbers below the base. */
  sources: string[];
  work: string | null;
  /** Mounts them, says `ready`, and waits. */
  command: string[];
}

export class SharedFolders {
  readonly lateMounts: LateMounts;
  readonly #plan: Plan;

  constructor(plan: Plan, port: () => MountPort) {
    this.#plan = plan;
    this.lateMounts = new LateMounts(port, join(plan.base, SLOTS));
  }

  /** `work`: a folder for container runtimes, which must be there and be theirs; it alone is not read-only. */
  static plan(folders: string[], work: string | null): Plan {
    const sources = folders.map((folder) => realpathSync(folder));
    const base = PLACES.find((place) => isFolder(place) && sources.every((source) => !isBelow(source, realpathSync(place))));
    if (base === undefined) throw new Error(`none of ${PLACES.join(', ')} is free to mount the folders of sandboxes on`);
    return { base, sources, work, command: ['/bin/sh', '-ec', MOUNT_SCRIPT, 'sh', base, work ?? '', ...sources] };
  }

  /** Where a file or folder of the host is in the mount namespace; paths outside of what is shown stay as they are. */
  inside(path: string): string {
    const real = realpathSync(path);
    const { base, work } = this.#plan;
    if (work !== null && isBelow(real, work)) return join(base, WORK, relative(work, real));
    for (const [index, folder] of this.#plan.sources.entries()) {
      if (isBelow(real, folder)) return join(base, String(index), relative(folder, real));
    }
    return real;
  }

  close(): void {
    this.lateMounts.close();
  }
}

/**
 * Runs `unshare ARGV` (after what `before` puts in front of it) until it says `ready`, lets `prepare` act on it from outside, takes hold of its namespaces of these
 * kinds and ends it. The namespaces then live by the returned descriptors.
 */
export async function namespacesOf(
  argv: string[],
  kinds: ('user' | 'mnt')[],
  { before = [], prepare = async () => {} }: { before?: string[]; prepare?: (pid: number) => Promise<void> } = {},
): Promise<number[]> {
  const [program, ...args] = [...before, 'unshare', ...argv];
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  try {
    await saysReady(child);
    await prepare(child.pid!);
    return kinds.map((kind) => openSync(`/proc/${child.pid!}/ns/${kind}`, 'r'));
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) await once(child, 'exit');
  }
}

function saysReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stdout!.once('data', () => resolve());
    child.once('error', (error) => reject(new Error(`unshare (of util-linux) cannot be run: ${error.message}`, { cause: error })));
    child.stdin!.on('error', () => {});
    child.once('close', (code) => reject(new Error(`unshare ended with ${code}: ${said.trim()}`)));
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
