// The command line of bubblewrap for one sandbox, in which it sees what system-view.ts says. Pure. Caller: bubblewrap.ts.
import type { Launch } from '../driver.ts';
import { DEVICES, DEVICE_LINKS, etcFiles, systemView } from '../system-view.ts';

/** Small files are read from descriptors, from here up. */
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
  const { binds, links } = systemView();
  const args: string[] = [];
  for (const [holds, at] of links) args.push('--symlink', holds, at);
  for (const path of binds) args.push('--ro-bind', path, path);
  args.push('--dir', '/dev');
  for (const device of DEVICES) args.push('--dev-bind', device, device);
  for (const [holds, at] of DEVICE_LINKS) args.push('--symlink', holds, at);
  args.push('--proc', '/proc');
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
  for (const [index, [file]] of etcFiles(identity.uid).entries())
    args.push('--perms', '0444', '--ro-bind-data', String(ETC_FD_FIRST + index), file);
  for (const { source, target } of launch.mounts) args.push('--ro-bind', source, target);
  args.push('--perms', '1777', '--size', String(launch.tmpMiB * 1024 * 1024), '--tmpfs', '/tmp');
  args.push('--remount-ro', '/', '--chdir', launch.cwd, '--', ...launch.argv);
  return args;
}
