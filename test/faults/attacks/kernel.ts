// Attacks on the kernel from inside: what would undo the namespaces, reach what they do not divide, or use one of the parts
// of the kernel with the longest record of holes. Deployed as a function by hostile-kernel.test.ts, which also runs most
// of them once without the filter, with every right in a user namespace of its own, where they come further: so it is the
// wall that answers, not the machine.
// Invariant: none does harm where it succeeds, so that a wall with a hole costs a test and not the machine: what is
// written is what was there before, and calls that the kernel would obey at once lack an argument.
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { systemCall, systemCallByNumber } from './system-call.ts';

export interface Attack {
  tries: string;
  /** Reads the outcome: what a call returned, or the name of its error. */
  holds: RegExp;
  run: () => unknown;
  /** Why it is not run outside of a sandbox: it fails there in the same way, or would change the machine. Then only `holds` speaks. */
  notCompared?: string;
}

const EPERM = /^EPERM$/;
const ENOSYS = /^ENOSYS$/;
const CLONE_NEWNS = 0x0002_0000;
const CLONE_NEWUSER = 0x1000_0000;
const SIGCHLD = 17;
const AT_FDCWD = -100;
const MS_BIND_REMOUNT = 4096 | 32;
/** x86-64. exit(42) through the 32-bit gate. */
const EXIT_42_BY_INT80 = Buffer.from('b801000000bb2a000000cd80ebfe', 'hex');
/** getpid by its x32 number, then exit(42) by the usual one. */
const EXIT_42_AFTER_X32 = Buffer.from('b8270000400f05b83c000000bf2a0000000f05', 'hex');
const INITIAL_NAMESPACE = 'rights in the first user namespace are asked for';
const OF_THE_MACHINE = 'it would change the machine';

/** Only x86-64 has a second and a third set of numbers. */
const FOREIGN_NUMBERS: Record<string, Attack> = {
  'other-numbers': {
    tries: 'the system calls of a 32-bit program, under which filters have been passed by',
    holds: /^SIGSYS$/,
    run: () => programEnds(EXIT_42_BY_INT80),
  },
  x32: { tries: 'the numbers of the x32 ABI', holds: /^SIGSYS$/, run: () => programEnds(EXIT_42_AFTER_X32) },
};

export const ATTACKS: Record<string, Attack> = {
  'mount-tmpfs': { tries: 'to mount a file system', holds: EPERM, run: () => systemCall('mount', 'x', '/tmp', 'tmpfs') },
  'mount-proc': { tries: 'to mount a fresh /proc', holds: EPERM, run: () => systemCall('mount', 'x', '/tmp', 'proc') },
  'mount-cgroup': {
    tries: 'to mount the cgroups, to raise its limits',
    holds: EPERM,
    run: () => systemCall('mount', 'x', '/tmp', 'cgroup2'),
  },
  'remount-writable': { tries: 'to make the root writable', holds: EPERM, run: () => systemCall('mount', 0, '/', 0, MS_BIND_REMOUNT) },
  'bind-host': { tries: 'to bind /proc/1/root somewhere', holds: EPERM, run: () => systemCall('mount', '/proc/1/root', '/tmp', 0, 4096) },
  umount: { tries: 'to take away what covers the host', holds: EPERM, run: () => systemCall('umount2', '/tmp', 2) },
  fsopen: { tries: 'the newer mount calls', holds: EPERM, run: () => systemCall('fsopen', 'tmpfs') },
  'open-tree': { tries: 'to copy a tree of mounts', holds: EPERM, run: () => systemCall('open_tree', AT_FDCWD, '/', 1) },
  'move-mount': { tries: 'to move a mount', holds: EPERM, run: () => systemCall('move_mount', AT_FDCWD, '/none', AT_FDCWD, '/tmp') },
  'mount-setattr': {
    tries: 'to clear the read-only mark of a mount',
    holds: EPERM,
    run: () => systemCall('mount_setattr', AT_FDCWD, '/', 0, 0, 0),
  },
  'pivot-root': { tries: 'to change the root', holds: EPERM, run: () => systemCall('pivot_root', '/tmp', '/tmp') },
  chroot: { tries: 'the old way out of a chroot', holds: EPERM, run: () => systemCall('chroot', '/tmp') },
  'unshare-user': {
    tries: 'a user namespace of its own',
    holds: EPERM,
    run: () => systemCall('unshare', CLONE_NEWUSER),
    notCompared: 'a process with threads',
  },
  'unshare-mounts': { tries: 'a mount namespace of its own', holds: EPERM, run: () => systemCall('unshare', CLONE_NEWNS) },
  'clone-user': { tries: 'a child in a user namespace of its own', holds: EPERM, run: () => cloned(CLONE_NEWUSER) },
  'clone-mounts': { tries: 'a child in a mount namespace of its own', holds: EPERM, run: () => cloned(CLONE_NEWNS) },
  clone3: { tries: 'clone3, whose flags no filter sees', holds: ENOSYS, run: () => systemCall('clone3', 0, 0) },
  'setns-net': { tries: 'to enter the network namespace of process 1', holds: EPERM, run: () => entered('net') },
  'setns-mounts': { tries: 'to enter the mount namespace of process 1', holds: EPERM, run: () => entered('mnt') },
  'uid-map': {
    tries: 'to map root of the host into its namespace',
    holds: /^E(PERM|ACCES|ROFS)$/,
    run: () => written('/proc/self/uid_map', '0 0 1'),
    notCompared: 'a map is written once',
  },
  keyctl: { tries: 'the session keyring, which the host shares', holds: EPERM, run: () => systemCall('keyctl', 0, -3, 1) },
  'add-key': { tries: 'to leave a key in the kernel', holds: EPERM, run: () => systemCall('add_key', 'user', 'virga', 'x', 1, -2) },
  'request-key': {
    tries: 'to have the kernel start its key program',
    holds: EPERM,
    run: () => systemCall('request_key', 'user', 'none', 0, 0),
  },
  bpf: { tries: 'to load an eBPF program', holds: EPERM, run: () => systemCall('bpf', 5, 0, 128) },
  perf: { tries: 'to count what the processor does for others', holds: EPERM, run: () => systemCall('perf_event_open', 0, 0, -1, -1, 0) },
  userfaultfd: { tries: 'to hold the kernel up in a page fault', holds: EPERM, run: () => systemCall('userfaultfd', 1) },
  'io-uring': { tries: 'io_uring, whose operations pass by filters', holds: ENOSYS, run: () => systemCall('io_uring_setup', 8, 0) },
  'raw-socket': { tries: 'to make packets by hand', holds: EPERM, run: () => systemCall('socket', 2, 3, 1) },
  'packet-socket': { tries: 'to listen to a network card', holds: EPERM, run: () => systemCall('socket', 17, 3, 0) },
  netfilter: { tries: 'to change the packet filter', holds: EPERM, run: () => systemCall('socket', 16, 3, 12) },
  'crypto-socket': { tries: 'the kernel’s ciphers as a socket', holds: EPERM, run: () => systemCall('socket', 38, 5, 0) },
  vsock: {
    tries: 'the socket from a virtual machine to its host, which no namespace divides',
    holds: EPERM,
    run: () => systemCall('socket', 40, 1, 0),
  },
  module: {
    tries: 'to load a kernel module',
    holds: EPERM,
    run: () => systemCall('init_module', 0, 0, ''),
    notCompared: INITIAL_NAMESPACE,
  },
  kexec: { tries: 'to boot another kernel', holds: EPERM, run: () => systemCall('kexec_load', 0, 0, 0, 0), notCompared: INITIAL_NAMESPACE },
  reboot: { tries: 'to restart the machine', holds: EPERM, run: () => systemCall('reboot', 1, 2, 3) },
  'set-clock': { tries: 'to set the clock of the machine', holds: EPERM, run: () => systemCall('clock_settime', 0, 0) },
  sethostname: { tries: 'to rename the machine', holds: EPERM, run: () => systemCall('sethostname', 'mine', 4) },
  'trace-self': {
    tries: 'to be traced by its parent',
    holds: EPERM,
    run: () => systemCall('ptrace', 0),
    notCompared: 'its parent would need its rights',
  },
  'trace-process-1': { tries: 'to trace process 1', holds: EPERM, run: () => systemCall('ptrace', 0x4206, 1, 0, 0) },
  'read-memory': { tries: 'to read the memory of process 1', holds: EPERM, run: () => systemCall('process_vm_readv', 1, 0, 0, 0, 0, 0) },
  'advise-memory': {
    tries: 'to push the memory of another process out',
    holds: EPERM,
    run: () => systemCall('process_madvise', -1, 0, 0, 0, 0),
  },
  'take-descriptor': {
    tries: 'to take an open file of process 1',
    holds: EPERM,
    run: () => systemCall('pidfd_getfd', systemCall('pidfd_open', 1, 0), 0, 0),
  },
  'compare-kernel': { tries: 'to compare addresses in the kernel', holds: EPERM, run: () => systemCall('kcmp', 1, 1, 0, 0, 0) },
  'file-handle': {
    tries: 'a handle, to open files of the host by',
    holds: EPERM,
    run: () => systemCall('name_to_handle_at', AT_FDCWD, '/usr', Buffer.alloc(256), Buffer.alloc(8), 0),
  },
  'open-by-handle': {
    tries: 'to open a file of the host by its handle',
    holds: EPERM,
    run: () => systemCall('open_by_handle_at', AT_FDCWD, 0, 0),
    notCompared: INITIAL_NAMESPACE,
  },
  'type-into-terminal': {
    tries: 'to type into the terminal of who started Virga (TIOCSTI)',
    holds: EPERM,
    run: () => systemCall('ioctl', 0, 0x5412, 'x'),
  },
  'type-into-console': { tries: 'the same by TIOCLINUX', holds: EPERM, run: () => systemCall('ioctl', 0, 0x541c, 'x') },
  personality: { tries: 'to turn off address randomisation', holds: EPERM, run: () => systemCall('personality', 0x0040_0000) },
  'memory-map': {
    tries: 'to rewrite what the kernel says of its memory',
    holds: EPERM,
    run: () => systemCall('prctl', 35, 0, 0, 0, 0),
    notCompared: INITIAL_NAMESPACE,
  },
  'filter-listener': { tries: 'to answer system calls in the kernel’s place', holds: EPERM, run: () => systemCall('seccomp', 1, 8, 0) },
  fanotify: { tries: 'to watch whole file systems', holds: EPERM, run: () => systemCall('fanotify_init', 0x200, 0) },
  'kernel-log': {
    tries: 'to read the kernel’s log',
    holds: EPERM,
    run: () => systemCall('syslog', 99, 0, 0),
    notCompared: 'kernel.dmesg_restrict, where it is set',
  },
  sync: { tries: 'to have every disk of the host flushed, over and over', holds: EPERM, run: () => systemCall('sync') },
  vmsplice: { tries: 'to give pages of memory to a pipe', holds: EPERM, run: () => systemCall('vmsplice', -1, 0, 0, 0) },
  'shared-segment': {
    tries: 'a System V segment, which outlives its process',
    holds: ENOSYS,
    run: () => systemCall('shmget', 0, 4096, 0o1600),
  },
  device: { tries: 'to make a device node', holds: EPERM, run: () => systemCall('mknodat', AT_FDCWD, '/tmp/device', 0o020666, 0) },
  'core-limit': {
    tries: 'to have its memory dumped to a program on the host',
    holds: EPERM,
    run: () => systemCall('prlimit64', 0, 4, Buffer.alloc(16), 0),
  },
  'core-pattern': {
    tries: 'to set the program that is given core dumps',
    holds: /^E(ROFS|ACCES|PERM)$/,
    run: () => written('/proc/sys/kernel/core_pattern'),
    notCompared: OF_THE_MACHINE,
  },
  'kernel-settings': {
    tries: 'to change the kernel’s settings',
    holds: /^E(ROFS|ACCES|PERM)$/,
    run: () => written('/proc/sys/vm/overcommit_memory'),
    notCompared: OF_THE_MACHINE,
  },
  sysrq: {
    tries: 'to crash the machine by sysrq',
    holds: /^E(ROFS|ACCES|PERM|NOENT)$/,
    run: () => written('/proc/sysrq-trigger', 'h'),
    notCompared: OF_THE_MACHINE,
  },
  'spared-by-oom': {
    tries: 'to be spared when memory is short',
    holds: /^E(ACCES|PERM)$/,
    run: () => written('/proc/self/oom_score_adj', '-999'),
    notCompared: INITIAL_NAMESPACE,
  },
  sys: {
    tries: 'to find /sys, and a cgroup to write to',
    holds: /^ENOENT$/,
    run: () => written('/sys/fs/cgroup/cgroup.procs', ''),
    notCompared: OF_THE_MACHINE,
  },
  ...(process.arch === 'x64' ? FOREIGN_NUMBERS : {}),
  'new-calls': { tries: 'calls that are newer than the list', holds: ENOSYS, run: () => systemCallByNumber(463, 0, 0) },
};

/** The child ends at once. */
function cloned(flags: number): bigint | string {
  const pid = systemCall('clone', flags | SIGCHLD, 0, 0, 0, 0);
  if (pid === 0n) systemCall('exit_group', 0);
  return pid;
}

function entered(kind: string): bigint | string {
  const fd = openSync(`/proc/1/ns/${kind}`, 'r');
  const result = systemCall('setns', fd, 0);
  closeSync(fd);
  return result;
}

/** Without `text`, what is there already. Nothing is created. */
function written(path: string, text: string | Buffer = readFileSync(path)): string {
  writeFileSync(path, text, { flag: 'r+' });
  return 'written';
}

/** A whole 64-bit program of these instructions. */
function program(code: Buffer): Buffer {
  const base = 0x40_0000n;
  const file = Buffer.alloc(120 + code.length);
  file.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(base + 120n, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(5, 68);
  file.writeBigUInt64LE(base, 80);
  file.writeBigUInt64LE(base, 88);
  file.writeBigUInt64LE(BigInt(file.length), 96);
  file.writeBigUInt64LE(BigInt(file.length), 104);
  file.writeBigUInt64LE(4096n, 112);
  code.copy(file, 120);
  return file;
}

function programEnds(code: Buffer): string {
  mkdirSync('/tmp/program', { recursive: true });
  writeFileSync('/tmp/program/run', program(code));
  chmodSync('/tmp/program/run', 0o755);
  const { signal, status, error } = spawnSync('/tmp/program/run', { timeout: 2_000 });
  return signal ?? error?.message ?? `exit ${status}`;
}
