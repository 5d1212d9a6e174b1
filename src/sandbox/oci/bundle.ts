// The configuration of one container (config.json of the OCI runtime specification), in which it sees what system-view.ts says.
// Pure. Caller: oci.ts.
import type { Launch, Mount } from '../driver.ts';
import { DEVICES, type SystemView } from '../system-view.ts';
import { guestCommand, type OciRuntimeName } from './runtimes.ts';

export interface BundleParts {
  runtime: OciRuntimeName;
  launch: Launch;
  view: SystemView;
  /** As the user namespace counts it. */
  uid: number;
  /** Real paths for the runtime, from here on. */
  root: string;
  devices: string;
  passwd: string;
  /** What the launch asks for. */
  mounts: Mount[];
  /** Folders that are filled later, by mounts that propagate. */
  slots: Mount[];
  filter: SystemCallFilter | null;
  /** Processes and threads that its uid may have; null: other sandboxes have the same uid. */
  pids: number | null;
  /** Whether the runtime is in the container's network already; else it makes an empty one. */
  networkJoined: boolean;
}

/** Both fields as the specification has them; see system-call-filter.ts. */
export interface SystemCallFilter {
  annotations: Record<string, string>;
  seccomp: object | undefined;
}

interface OciMount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

/** What is in /proc, belongs to the kernel as a whole, and tells or does too much. */
const MASKED = ['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'timer_list', 'timer_stats', 'sched_debug', 'scsi', 'interrupts'];
const READ_ONLY = ['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'];
/**
 * Of 1 byte, not 0: with 0 the kernel still starts a program that core_pattern names, outside of all walls, and with 1
 * it never does.
 */
const CORE_BYTES = 1;
const INODE_BYTES = 4 * 1024;
const INODES_MIN = 1_024;

export function bundleConfig(parts: BundleParts): object {
  const { runtime, launch, uid, root, filter } = parts;
  const none: string[] = [];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid, gid: uid, umask: 0o022 },
      args: guestCommand(runtime, launch.argv),
      env: Object.entries(launch.env).map(([name, value]) => `${name}=${value}`),
      cwd: launch.cwd,
      noNewPrivileges: true,
      capabilities: { bounding: none, effective: none, permitted: none, inheritable: none, ambient: none },
      rlimits: [rlimit('RLIMIT_CORE', CORE_BYTES), ...(parts.pids === null ? [] : [rlimit('RLIMIT_NPROC', parts.pids)])],
    },
    root: { path: root, readonly: true },
    hostname: 'sandbox',
    mounts: runtime === 'runsc' ? gvisorMounts(parts) : linuxMounts(parts),
    annotations: filter?.annotations ?? {},
    linux: {
      namespaces: namespacesOf(parts),
      // What is shown later must come through; nothing goes out.
      rootfsPropagation: 'rslave',
      resources: {},
      maskedPaths: MASKED.map((name) => `/proc/${name}`),
      readonlyPaths: READ_ONLY.map((name) => `/proc/${name}`),
      ...(filter?.seccomp === undefined ? {} : { seccomp: filter.seccomp }),
    },
  };
}

function namespacesOf({ runtime, networkJoined }: BundleParts): { type: string }[] {
  const types = ['mount', 'pid', 'ipc', 'uts', ...(networkJoined ? [] : ['network']), ...(runtime === 'runsc' ? [] : ['cgroup'])];
  return types.map((type) => ({ type }));
}

function linuxMounts(parts: BundleParts): OciMount[] {
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'nodev', 'noexec'] },
    bind(parts.devices, '/dev', ['ro', 'nosuid', 'nodev', 'noexec']),
    ...DEVICES.map((device) => bind(device, device, ['nosuid', 'noexec'])),
    ...files(parts),
    ...parts.slots.map(({ source, target }) => bind(source, target, ['ro', 'nosuid', 'nodev', 'rslave'])),
  ];
}

/** /proc and /dev are made by gVisor's own kernel. */
function gvisorMounts(parts: BundleParts): OciMount[] {
  return [{ destination: '/proc', type: 'proc', source: 'proc', options: [] }, ...files(parts)];
}

function files({ launch, view, passwd, mounts }: BundleParts): OciMount[] {
  const bytes = launch.tmpMiB * 1024 * 1024;
  const limits = [`size=${bytes}`, `nr_inodes=${Math.max(INODES_MIN, bytes / INODE_BYTES)}`];
  const readOnly = ['ro', 'nosuid', 'nodev'];
  return [
    { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777', ...limits] },
    ...view.binds.map((path) => bind(path, path, readOnly)),
    bind(passwd, '/etc/passwd', readOnly),
    ...mounts.map(({ source, target }) => bind(source, target, readOnly)),
  ];
}

function rlimit(type: string, value: number): { type: string; soft: number; hard: number } {
  return { type, soft: value, hard: value };
}

function bind(source: string, destination: string, options: string[]): OciMount {
  return { destination, type: 'bind', source, options: ['bind', ...options] };
}
