// What lets a launcher that runs as root start sandboxes that do not: one user namespace whose uids are a range of the
// host's that nobody uses, and one private mount namespace in which the folders to show are reachable for those uids
// (a clone below /root or a data folder of mode 0700 is not). docs/decisions/0005-sandbox-uid.md has the reasons.
// Invariant: both namespaces live by file descriptors of this process alone; when it ends in any way, they and the
// mounts in them are gone. Caller: bubblewrap.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, realpathSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { LateMounts } from './late-mounts.ts';

/** Uids (and gids) in one range; inside they are 0 to 65535. 0 and the overflow id 65534 are given to nobody. */
const RANGE = 65_536;
const UID_FIRST = 2_000_000;
const RANGES = 1_000;
const UID_INSIDE_MAX = 65_533;

/** Where the private mounts may go: the first of these that exists and does not hide what it must show. */
const PLACES = ['/mnt', '/media', '/srv', '/opt', '/tmp', '/run'];

/** Slots of sandboxes (late-mounts.ts), below the place. */
const SLOTS = 'slots';

// What is bound from the read-only mounts is read-only by that. The slots are a mount of their own because only they are
// shared: sandboxes are to hear of what is mounted there, and of nothing else.
const MOUNT_SCRIPT = `
base="$1"; shift
mount -t tmpfs -o mode=0755,size=1m virga "$base"
n=0
for source; do
  mkdir "$base/$n"; mount --bind "$source" "$base/$n"; mount -o remount,bind,ro,nosuid,nodev "$base/$n"; n=$((n + 1))
done
mkdir "$base/${SLOTS}"
mount -t tmpfs -o mode=0755,size=16m virga "$base/${SLOTS}"
mount --make-shared "$base/${SLOTS}"
echo ready
read -r _`;

export class RootWall {
  readonly userNamespaceFd: number;
  readonly #mountNamespaceFd: number;
  readonly #base: string;
  readonly #folders: string[];
  readonly lateMounts: LateMounts;
  #lastUid = 0;

  private constructor(fds: { user: number; mount: number }, base: string, folders: string[]) {
    this.userNamespaceFd = fds.user;
    this.#mountNamespaceFd = fds.mount;
    this.#base = base;
    this.#folders = folders;
    this.lateMounts = new LateMounts({ namespaceFd: fds.mount, base: join(base, SLOTS) });
  }

  /** `folders` (absolute, existing) become visible to sandboxes. Throws with the words of the tool that failed. */
  static async open(scope: string, folders: string[]): Promise<RootWall> {
    const sources = folders.map((folder) => realpathSync(folder));
    const base = PLACES.find((place) => isFolder(place) && sources.every((source) => !isBelow(source, realpathSync(place))));
    if (base === undefined) throw new Error(`none of ${PLACES.join(', ')} is free to mount the folders of sandboxes on`);
    const user = await namespaceOf(['--user', '--', '/bin/sh', '-ec', 'echo ready; read -r _'], 'user', async (pid) => {
      const first = UID_FIRST + (parseInt(scope.slice(0, 8), 16) % RANGES) * RANGE;
      await writeFile(`/proc/${pid}/uid_map`, `0 ${first} ${RANGE}`);
      await writeFile(`/proc/${pid}/gid_map`, `0 ${first} ${RANGE}`);
    });
    try {
      await forbidFurtherUserNamespaces(user);
      const argv = ['--mount', '--propagation', 'private', '--', '/bin/sh', '-ec', MOUNT_SCRIPT, 'sh', base, ...sources];
      const mount = await namespaceOf(argv, 'mnt', async () => {});
      return new RootWall({ user, mount }, base, sources);
    } catch (error) {
      closeSync(user);
      throw error;
    }
  }

  /** What to put before the command of a sandbox: enters the mount namespace and drops the groups of root. */
  get enter(): string[] {
    return ['nsenter', `--mount=/proc/${process.pid}/fd/${this.#mountNamespaceFd}`, '--setgid', '0', '--'];
  }

  /** A uid, as counted inside. Not used again until all others have been: nothing of an earlier sandbox can be met. */
  nextUid(): number {
    this.#lastUid = (this.#lastUid % UID_INSIDE_MAX) + 1;
    return this.#lastUid;
  }

  /** Where a file or folder of the host is in the mount namespace; paths outside of what is shown stay as they are. */
  inside(path: string): string {
    const real = realpathSync(path);
    for (const [index, folder] of this.#folders.entries()) {
      if (isBelow(real, folder)) return join(this.#base, String(index), relative(folder, real));
    }
    return real;
  }

  close(): void {
    this.lateMounts.close();
    closeSync(this.userNamespaceFd);
    closeSync(this.#mountNamespaceFd);
  }
}

/**
 * Runs `unshare ARGV` until it says `ready`, lets `prepare` act on it from outside, takes hold of its namespace and ends it.
 * The namespace then lives by the returned descriptor.
 */
async function namespaceOf(argv: string[], kind: 'user' | 'mnt', prepare: (pid: number) => Promise<void>): Promise<number> {
  const child = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'pipe'] });
  try {
    await saysReady(child);
    await prepare(child.pid!);
    return openSync(`/proc/${child.pid!}/ns/${kind}`, 'r');
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

/** What `--disable-userns` does for a namespace that bubblewrap makes itself. */
async function forbidFurtherUserNamespaces(userNamespaceFd: number): Promise<void> {
  const argv = [`--user=/proc/${process.pid}/fd/${userNamespaceFd}`, '--setuid', '0', '--setgid', '0', '--'];
  const command = ['/bin/sh', '-c', 'echo 0 > /proc/sys/user/max_user_namespaces'];
  const child = spawn('nsenter', [...argv, ...command], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`user namespaces inside sandboxes cannot be forbidden: ${said.trim()}`);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
