// The container runtimes that the driver knows: how each is found, and its command line to run one container in the
// foreground. Invariant: no runtime is asked for a cgroup, a network or a user namespace; those are there before it runs.
// Callers: oci.ts, server/drivers.ts.
import { accessSync, constants } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';

export const RUNTIME_NAMES = ['crun', 'runc', 'runsc'] as const;
export type OciRuntimeName = (typeof RUNTIME_NAMES)[number];

export interface OciRuntime {
  name: OciRuntimeName;
  program: string;
}

export interface RunArguments {
  id: string;
  bundle: string;
  /** Where it keeps what it knows of the container, until that ends. */
  state: string;
  /** Whether the container's network is one that the runtime was started in. */
  networkJoined: boolean;
}

const SEARCH_PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Processes and threads of the runtime itself (and of what is around it, see oci.ts), which count against the limit beside those of the guest. */
export const OWN_PIDS: Record<OciRuntimeName, number> = { crun: 4, runc: 24, runsc: 256 };

/**
 * What the runtime itself holds and the kernel therefore counts as the sandbox's. Measured without a guest: crun 1.8 1.1 MiB,
 * runc 1.1 3.1 MiB, runsc of 2022 (its kernel and its file server) 18 MiB.
 */
export const OWN_MEMORY_MIB: Record<OciRuntimeName, number> = { crun: 1, runc: 4, runsc: 24 };

/** `wanted`: one of the names, or the path of a program whose name begins with one. null: it is not on this machine. */
export function findRuntime(wanted: string): OciRuntime | null {
  const name = RUNTIME_NAMES.find((known) => basename(wanted).startsWith(known));
  if (name === undefined) return null;
  const places = isAbsolute(wanted) ? [wanted] : SEARCH_PATH.map((folder) => join(folder, wanted));
  const program = places.find(isExecutable);
  return program === undefined ? null : { name, program };
}

export function runCommand({ name, program }: OciRuntime, { id, bundle, state, networkJoined }: RunArguments): string[] {
  const root = `--root=${state}`;
  if (name === 'crun') {
    const run = ['run', `--bundle=${bundle}`, '--no-new-keyring', '--preserve-fds=1', id];
    return [program, root, '--cgroup-manager=disabled', ...run];
  }
  // It takes a cgroup that it cannot make for granted only when told that it has no rights.
  if (name === 'runc')
    return [program, root, '--rootless=true', '--log=/dev/null', 'run', `--bundle=${bundle}`, '--no-new-keyring', '--preserve-fds=1', id];
  return [program, root, `--network=${networkJoined ? 'host' : 'none'}`, '--ignore-cgroups', 'run', `--bundle=${bundle}`, id];
}

/** runsc of 2022 passes nothing but stdio on, so there the channel comes as stdin. */
export const CHANNEL_AS_STDIN: Record<OciRuntimeName, boolean> = { crun: false, runc: false, runsc: true };

/**
 * With a shell as process 1 of the container, a guest is an ordinary process, to which signals do what they do, and orphans are
 * reaped. In gVisor process 1 is ordinary as well; there the shell moves the channel.
 */
export function guestCommand(name: OciRuntimeName, argv: string[]): string[] {
  const script = CHANNEL_AS_STDIN[name] ? 'exec "$@" 3<&0 </dev/null' : '"$@"; exit $?';
  return ['/bin/sh', '-c', script, 'sh', ...argv];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
