// The wall of a launcher that is an ordinary user: a user namespace in which it may mount, and a mount namespace of that.
// Sandboxes are made inside of it, each with a further user namespace, so that nothing in them has rights in this one.
// Invariant: as in wall.ts; the process that mounts (it cannot be a thread: a process of several threads cannot change
// its user namespace) ends with this one. Caller: bubblewrap.ts.
import { closeSync } from 'node:fs';
import { mountProcess } from './late-mounts.ts';
import { SharedFolders, namespacesOf, type Wall } from './wall.ts';

/** A plain one, as everywhere: on the host it is the user who started Virga, whatever it is called inside. */
const UID_INSIDE = 1000;

export class UserWall implements Wall {
  readonly userNamespaceFd = null;
  readonly folders: SharedFolders;
  readonly rootUid = process.getuid!();
  readonly #enter: string[];
  readonly #fds: number[];

  private constructor(fds: number[], enter: string[], folders: SharedFolders) {
    this.#fds = fds;
    this.#enter = enter;
    this.folders = folders;
  }

  /**
   * `within`: path of a user namespace to use, whose root this user is, instead of a new one: networks can be joined only from
   * theirs. `work`: see SharedFolders.plan. Throws with the words of the tool that failed.
   */
  static async open(folders: string[], { within, work = null }: { within: string | null; work?: string | null }): Promise<UserWall> {
    const plan = SharedFolders.plan(folders, work);
    const before = within === null ? [] : ['nsenter', '--preserve-credentials', `--user=${within}`, '--'];
    const own = within === null ? ['--user', '--map-root-user'] : [];
    const argv = [...own, '--mount', '--propagation', 'private', '--', ...plan.command];
    const fds = await namespacesOf(argv, ['user', 'mnt'], { before });
    const [user, mount] = fds.map((fd) => `/proc/${process.pid}/fd/${fd}`);
    const enter = ['nsenter', '--preserve-credentials', `--user=${user}`, `--mount=${mount}`];
    return new UserWall(fds, enter, new SharedFolders(plan, () => mountProcess([...enter, '--'])));
  }

  enter(network: string | null): string[] {
    return [...this.#enter, ...(network === null ? [] : [`--net=${network}`]), '--'];
  }

  /** What enters is root already; each sandbox has a user namespace of its own further in. */
  enterAsRoot(network: string | null): string[] {
    return this.enter(network);
  }

  nextUid(): number {
    return UID_INSIDE;
  }

  close(): void {
    this.folders.close();
    for (const fd of this.#fds) closeSync(fd);
  }
}
