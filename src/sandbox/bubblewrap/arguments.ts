// The command line of bubblewrap for one sandbox. What a sandbox sees:
//
//   /usr /bin /lib …   the host's, read-only          /tmp    its own tmpfs with a size limit; /dev/shm points here
//   /etc               six files and the CA roots    /proc   its own, of its own processes
//   /code /virga …     what the launch asks for, ro   /dev    null, zero, full, random, urandom, fd
//
// Everything else of the host does not exist inside, and the root is read-only. Pure but for looking at which of the
// host's top folders exist (once). Caller: bubblewrap.ts.
import { lstatSync, readlinkSync, existsSync } from 'node:fs';
import type { Launch } from '../driver.ts';

const SYSTEM_FOLDERS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];
const SYSTEM_FILES = ['/etc/ld.so.cache', '/etc/alternatives', '/etc/ssl/certs', '/etc/pki/tls/certs', '/etc/localtime'];
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom'];

/** Small files that bubblewrap reads from descriptors, in this order, from ETC_FD_FIRST up. */
export const ETC_FILES = ['/etc/passwd', '/etc/hosts', '/etc/nsswitch.conf', '/etc/resolv.conf'] as const;
export const ETC_FD_FIRST = 6;
export const USER_NAMESPACE_FD = 4;
export const SECCOMP_FD = 5;

export interface Identity {
  uid: number;
  /** Whether to enter the user namespace on USER_NAMESPACE_FD, else bubblewrap makes its own. */
  sharedUserNamespace: boolean;
  /** Whether a system call filter is on SECCOMP_FD. */
  filtered: boolean;
}

/** Read-only binds and links of the host's system; the same for every sandbox. */
export function systemArguments(): string[] {
  const args: string[] = [];
  for (const folder of SYSTEM_FOLDERS) {
    const stat = lstatSync(folder, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink()) args.push('--symlink', readlinkSync(folder), folder);
    else if (stat?.isDirectory()) args.push('--ro-bind', folder, folder);
  }
  for (const file of SYSTEM_FILES) if (existsSync(file)) args.push('--ro-bind', file, file);
  args.push('--dir', '/dev');
  for (const device of DEVICES) args.push('--dev-bind', `/dev/${device}`, `/dev/${device}`);
  args.push('--symlink', '/proc/self/fd', '/dev/fd');
  for (const [fd, name] of ['stdin', 'stdout', 'stderr'].entries()) args.push('--symlink', `/proc/self/fd/${fd}`, `/dev/${name}`);
  // POSIX shared memory (Python's multiprocessing needs it) counts against the size of /tmp.
  args.push('--symlink', '/tmp', '/dev/shm', '--proc', '/proc');
  return args;
}

export function bubblewrapArguments(launch: Launch, system: string[], identity: Identity): string[] {
  // What it joined (see `enter`) is the network it stays in.
  const network = launch.network === null ? ['--unshare-net'] : [];
  const args = ['--unshare-pid', ...network, '--unshare-ipc', '--unshare-uts', '--unshare-cgroup'];
  if (identity.sharedUserNamespace) {
    // As --sync-fd it is closed before the guest runs; as --userns alone it would be passed on.
    args.push('--userns', String(USER_NAMESPACE_FD), '--sync-fd', String(USER_NAMESPACE_FD));
  } else {
    args.push('--unshare-user', '--disable-userns');
  }
  args.push('--uid', String(identity.uid), '--gid', String(identity.uid), '--hostname', 'sandbox');
  // From a user namespace in which it is root (its own, or that of the networks) bubblewrap would leave the bounding set full.
  args.push('--cap-drop', 'ALL', '--new-session', '--die-with-parent', '--clearenv');
  if (identity.filtered) args.push('--seccomp', String(SECCOMP_FD));
  for (const [name, value] of Object.entries(launch.env)) args.push('--setenv', name, value);
  args.push(...system);
  for (const [index, file] of ETC_FILES.entries()) args.push('--perms', '0444', '--ro-bind-data', String(ETC_FD_FIRST + index), file);
  for (const { source, target } of launch.mounts) args.push('--ro-bind', source, target);
  args.push('--perms', '1777', '--size', String(launch.tmpMiB * 1024 * 1024), '--tmpfs', '/tmp');
  args.push('--remount-ro', '/', '--chdir', launch.cwd, '--', ...launch.argv);
  return args;
}

/** The contents of ETC_FILES. */
export function etcContents(uid: number): string[] {
  return [
    `root:x:0:0:root:/:/usr/sbin/nologin\nsandbox:x:${uid}:${uid}:sandbox:/tmp:/bin/sh\n`,
    '127.0.0.1 localhost\n::1 localhost\n127.0.0.1 sandbox\n',
    'passwd: files\nhosts: files dns\n',
    'nameserver 127.0.0.1\n',
  ];
}
