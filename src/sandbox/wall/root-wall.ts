// What lets a launcher that runs as root start sandboxes that do not: one user namespace whose uids are a range of the
// host's that nobody uses, and one private mount namespace in which the folders to show are reachable for those uids
// (a clone below /root or a data folder of mode 0700 is not). docs/decisions/0005-sandbox-uid.md has the reasons.
// Invariant: both namespaces live by file descriptors of this process alone; when it ends in any way, they and the
// mounts in them are gone. Callers: the drivers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, closeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { mountThread } from './late-mounts.ts';
import { SharedFolders, namespacesOf, type Wall } from './wall.ts';

/** Uids (and gids) in one range; inside they are 0 to 65535. 0 and the overflow id 65534 are given to nobody. */
const RANGE = 65_536;
const UID_FIRST = 2_000_000;
const RANGES = 1_000;
const UID_INSIDE_MAX = 65_533;

export interface RootWallOptions {
  scope: string;
  /** Absolute, existing: they become visible to sandboxes. */
  folders: string[];
  /** For container runtimes: the folder that they write to, and which of the ranges of uids is theirs. */
  containers?: {
    work: string;
    range: 0 | 1;
    /** Whether they make user namespaces themselves; what runs in their sandboxes must then be unable to. */
    nested: boolean;
  };
}

export class RootWall implements Wall {
  readonly userNamespaceFd: number;
  readonly folders: SharedFolders;
  readonly rootUid: number;
  readonly #mountNamespaceFd: number;
  #lastUid = 0;

  private constructor(fds: { user: number; mount: number }, rootUid: number, folders: SharedFolders) {
    this.rootUid = rootUid;
    this.userNamespaceFd = fds.user;
    this.#mountNamespaceFd = fds.mount;
    this.folders = folders;
  }

  /** Throws with the words of the tool that failed. */
  static async open({ scope, folders, containers }: RootWallOptions): Promise<RootWall> {
    const work = containers?.work ?? null;
    const rootUid = UID_FIRST + ((parseInt(scope.slice(0, 8), 16) % RANGES) + RANGES * (containers?.range ?? 0)) * RANGE;
    if (work !== null) chownSync(work, rootUid, rootUid);
    const plan = SharedFolders.plan(folders, work);
    const prepare = async (pid: number): Promise<void> => {
      await writeFile(`/proc/${pid}/uid_map`, `0 ${rootUid} ${RANGE}`);
      await writeFile(`/proc/${pid}/gid_map`, `0 ${rootUid} ${RANGE}`);
    };
    const [user] = await namespacesOf(['--user', '--', '/bin/sh', '-ec', 'echo ready; read -r _'], ['user'], { prepare });
    try {
      if (containers?.nested !== true) await forbidFurtherUserNamespaces(user!);
      const [mount] = await namespacesOf(['--mount', '--propagation', 'private', '--', ...plan.command], ['mnt']);
      return new RootWall({ user: user!, mount: mount! }, rootUid, new SharedFolders(plan, () => mountThread(mount!)));
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

  enterAsRoot(network: string | null): string[] {
    const [enter, ...rest] = this.enter(network);
    return [enter!, `--user=/proc/${process.pid}/fd/${this.userNamespaceFd}`, '--setuid', '0', ...rest];
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
