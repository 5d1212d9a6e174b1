// What lets a launcher that runs as root start sandboxes that do not: one user namespace whose uids are a range of the
// host's that nobody uses, and one private mount namespace in which the folders to show are reachable for those uids
// (a clone below /root or a data folder of mode 0700 is not). docs/decisions/0005-sandbox-uid.md has the reasons.
// Invariant: both namespaces live by file descriptors of this process alone; when it ends in any way, they and the
// mounts in them are gone. Caller: bubblewrap.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { mountThread } from './late-mounts.ts';
import { SharedFolders, namespacesOf, type Wall } from './wall.ts';

/** Uids (and gids) in one range; inside they are 0 to 65535. 0 and the overflow id 65534 are given to nobody. */
const RANGE = 65_536;
const UID_FIRST = 2_000_000;
const RANGES = 1_000;
const UID_INSIDE_MAX = 65_533;

export class RootWall implements Wall {
  readonly userNamespaceFd: number;
  readonly folders: SharedFolders;
  readonly #mountNamespaceFd: number;
  #lastUid = 0;

  private constructor(fds: { user: number; mount: number }, folders: SharedFolders) {
    this.userNamespaceFd = fds.user;
    this.#mountNamespaceFd = fds.mount;
    this.folders = folders;
  }

  /** `folders` (absolute, existing) become visible to sandboxes. Throws with the words of the tool that failed. */
  static async open(scope: string, folders: string[]): Promise<RootWall> {
    const plan = SharedFolders.plan(folders);
    const prepare = async (pid: number): Promise<void> => {
      const first = UID_FIRST + (parseInt(scope.slice(0, 8), 16) % RANGES) * RANGE;
      await writeFile(`/proc/${pid}/uid_map`, `0 ${first} ${RANGE}`);
      await writeFile(`/proc/${pid}/gid_map`, `0 ${first} ${RANGE}`);
    };
    const [user] = await namespacesOf(['--user', '--', '/bin/sh', '-ec', 'echo ready; read -r _'], ['user'], { prepare });
    try {
      await forbidFurtherUserNamespaces(user!);
      const [mount] = await namespacesOf(['--mount', '--propagation', 'private', '--', ...plan.command], ['mnt']);
      return new RootWall({ user: user!, mount: mount! }, new SharedFolders(plan, mountThread(mount!)));
    } catch (error) {
      closeSync(user!);
      throw error;
    }
  }

  /** Enters the namespaces and drops the groups of root. */
  enter(network: string | null): string[] {
    const net = network === null ? [] : [`--net=${network}`];
    return ['nsenter', `--mount=/proc/${process.pid}/fd/${this.#mountNamespaceFd}`, ...net, '--setgid', '0', '--'];
  }

  /** Not used again until all others have been: nothing of an earlier sandbox can be met. */
  nextUid(): number {
    this.#lastUid = (this.#lastUid % UID_INSIDE_MAX) + 1;
    return this.#lastUid;
  }

  close(): void {
    this.folders.close();
    closeSync(this.userNamespaceFd);
    closeSync(this.#mountNamespaceFd);
  }
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
