// What Postgres' programs run inside. With bubblewrap: no network, own pid, ipc and user namespaces, a read-only view of
// the system's libraries, and two writable folders; the server sees a uid that is not 0 (it refuses to run as root), while
// its files stay owned by whoever runs Virga. Without: directly, and as another user when Virga is root.
// Invariants: in both cases it dies with the process that started it, and only one server at a time can hold a cluster:
// flock(1) takes the lock that every process of the server then inherits, so it is free when the last one has gone.
// docs/decisions/0003 has the reasons and figures. Called by embedded.ts.
import { execFile } from 'node:child_process';
import { chmod, chown, lchown, readFile, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { VirgaError } from '../../../protocol/errors.ts';

export interface Walls {
  kind: 'bubblewrap' | 'direct';
  /** The command line that runs `program` inside; with bubblewrap the pid of the program is told on `pidFd` as JSON. */
  command(program: string, args: string[], options: { writable: string[]; pidFd?: number }): { command: string; args: string[] };
}

/** Exit code of flock(1) when the lock is still held after LOCK_WAIT_S. */
export const LOCK_BUSY = 75;
const LOCK_WAIT_S = 1;
/** What it may read besides its own programs. Nothing of the users' files, and none of Virga's. */
const READABLE = ['/usr', '/bin', '/lib', '/lib64', '/nix', '/etc/ld.so.cache', '/etc/passwd', '/etc/localtime'];

export interface WallsOptions {
  /** Folder of the programs; what lies beside it (`../lib`, `../share`) is needed too. */
  programs: string;
  /** Held while a server runs. */
  lockFile: string;
  /** Skip bubblewrap, for tests of the other way. */
  direct?: boolean;
}

export async function chooseWalls(options: WallsOptions): Promise<Walls> {
  if (process.platform !== 'linux') return direct([]);
  const { lockFile } = options;
  const [bubblewrap, flock, setpriv] = await Promise.all([
    options.direct === true
      ? false
      : works('bwrap', [...namespaces(dirname(options.programs)), '--', join(options.programs, 'postgres'), '--version']),
    works('flock', ['--version']),
    works('setpriv', ['--version']),
  ]);
  const lock = flock
    ? ['flock', '--exclusive', '--wait', String(LOCK_WAIT_S), '--conflict-exit-code', String(LOCK_BUSY), '--no-fork', lockFile]
    : [];
  // Inside a pid namespace of its own, Postgres' own check of postmaster.pid is blind: without flock there would be none.
  if (bubblewrap && flock) return behindBubblewrap(lock, options.programs);
  const drop = setpriv ? ['setpriv', '--pdeathsig', 'KILL'] : [];
  const user = process.getuid?.() === 0 ? await unprivilegedUser() : undefined;
  if (user === undefined) return direct([...lock, ...drop, ...(drop.length > 0 ? ['--'] : [])]);
  if (!setpriv)
    throw new VirgaError(
      'unavailable',
      'Virga runs as root, and Postgres must not: install bubblewrap, or util-linux (setpriv), or run Virga as another user',
    );
  const closed = await closedFolderAbove(options.programs, user);
  if (closed !== undefined) throw unreachable(options.programs, closed, user.name);
  return direct([...lock, ...drop, `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--']);
}

function behindBubblewrap(lock: string[], programs: string): Walls {
  return {
    kind: 'bubblewrap',
    command(program, args, { writable, pidFd }) {
      const [command, ...rest] = lock;
      const binds = writable.flatMap((folder) => ['--bind', folder, folder]);
      const tell = pidFd === undefined ? [] : ['--info-fd', String(pidFd)];
      return { command: command!, args: [...rest, 'bwrap', ...namespaces(dirname(programs)), ...binds, ...tell, '--', program, ...args] };
    },
  };
}

function namespaces(prefix: string): string[] {
  return [
    ...[
      '--unshare-user',
      '--uid',
      '65534',
      '--gid',
      '65534',
      '--unshare-pid',
      '--unshare-ipc',
      '--unshare-net',
      '--unshare-uts',
      '--unshare-cgroup-try',
    ],
    ...['--cap-drop', 'ALL', '--clearenv', '--die-with-parent', '--as-pid-1'],
    ...READABLE.flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--dev', '/dev', '--proc', '/proc', '--tmpfs', '/tmp'],
    ...['--ro-bind', prefix, prefix, '--chdir', '/'],
  ];
}

function direct(before: string[]): Walls {
  return {
    kind: 'direct',
    command: (program, args) => {
      const [command, ...rest] = [...before, program, ...args];
      return { command: command!, args: rest };
    },
  };
}

async function works(program: string, args: string[]): Promise<boolean> {
  try {
    await promisify(execFile)(program, args, { timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** The first folder above `path` that this user may not pass through; undefined when all are open. */
async function closedFolderAbove(path: string, { uid, gid }: { uid: number; gid: number }): Promise<string | undefined> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { mode, uid: owner, gid: group } = await stat(folder);
    const passable = owner === uid ? mode & 0o100 : group === gid ? mode & 0o010 : mode & 0o001;
    if (passable === 0) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

function unreachable(path: string, closed: string, user: string): VirgaError {
  return new VirgaError(
    'unavailable',
    `Virga runs as root, so Postgres runs as user '${user}', who cannot reach ${path}: ${closed} is closed to it. Install bubblewrap (then nothing needs to change), choose another folder, or run chmod o+x ${closed}`,
  );
}

/** `postgres` if there is such a user, else `nobody`. */
async function unprivilegedUser(): Promise<{ name: string; uid: number; gid: number }> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  const found = lines.find(([name]) => name === 'postgres') ?? lines.find(([name]) => name === 'nobody');
  if (found === undefined) return { name: 'nobody', uid: 65534, gid: 65534 };
  return { name: found[0]!, uid: Number(found[2]), gid: Number(found[3]) };
}

/**
 * Root without bubblewrap: gives the folders that the server writes to its user, and lets that user's group pass through
 * the data folder above them, which stays closed to everybody else. Fails when a folder further up cannot be passed.
 */
export async function handOver(folders: { cluster: string; sockets: string }): Promise<void> {
  const above = dirname(folders.cluster);
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return;
  const { name, uid, gid } = await unprivilegedUser();
  const closed = await closedFolderAbove(above, { uid, gid });
  if (closed !== undefined) throw unreachable(above, closed, name);
  await chown(above, 0, gid);
  await chmod(above, 0o710);
  // Root stays the owner of the run folder, which the next start checks.
  await chown(folders.sockets, 0, gid);
  await chmod(folders.sockets, 0o770);
  await chownTree(folders.cluster, uid, gid);
}

async function chownTree(path: string, uid: number, gid: number): Promise<void> {
  const found = await stat(path);
  if (found.uid === uid && found.gid === gid) return; // made by that user: so is all that is in it
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }))
    await lchown(join(entry.parentPath, entry.name), uid, gid);
  await chown(path, uid, gid);
}

/**
 * Kills every process that holds the lock: each process of a server has inherited it, also one that never came to run
 * Postgres. For those who own the data folder, when a leftover of an earlier Virga keeps the lock.
 */
export async function killHolders(lockFile: string): Promise<number[]> {
  const lock = await stat(lockFile);
  const killed: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const open = await stat(`/proc/${pid}/fd/${fd}`).catch(() => undefined);
      if (open?.ino !== lock.ino || open.dev !== lock.dev) continue;
      try {
        process.kill(pid, 'SIGKILL');
        killed.push(pid);
      } catch {
        // it has just ended
      }
      break;
    }
  }
  return killed;
}
