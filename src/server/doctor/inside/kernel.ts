// Attacks on the kernel: rights, namespaces, and the system calls with a record of holes. Used by probe.ts.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { anyOf, attempt, refused, through } from './attack.ts';
import type { Attack, Outcome } from './attack.ts';
import { getsDescriptor, reachesKernel, systemCall, text } from './system-call.ts';

const AF = { inet: 2, packet: 17, vsock: 40 };
const SOCK = { stream: 1, raw: 3 };
const IPPROTO_ICMP = 1;
const AT_FDCWD = -100;
const MNT_DETACH = 2;
const BLOCK_DEVICE = 0o060600;
const FIRST_DISK = 8 << 8;
/** Below 1: nothing. 1 keeps the kernel from starting the program of core_pattern and writes nothing worth the name. */
const CORE_BYTES_MAX = 1;

export const KERNEL_ATTACKS: Record<string, Attack> = {
  root: () => (process.getuid!() === 0 ? through('it runs as root') : refused(`uid ${process.getuid!()}`)),
  capabilities: () => {
    const held = ['CapPrm', 'CapEff', 'CapAmb'].filter((name) => BigInt(`0x${ownStatus(name)}`) !== 0n);
    return held.length === 0 ? refused('none') : through(held.map((name) => `${name} ${ownStatus(name)}`).join(', '));
  },
  'no-new-privs': () => (ownStatus('NoNewPrivs') === '1' ? refused('set') : through('a setuid program could give it more')),
  seccomp: () => (ownStatus('Seccomp') === '2' ? refused('a filter is in force') : through('every system call is allowed')),
  'core-dumps': () => {
    const [, hard] = /^Max core file size\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? [];
    return hard !== undefined && Number(hard) <= CORE_BYTES_MAX ? refused('off') : through(`its core dumps may have ${hard} bytes`);
  },
  'user-namespace': () => program('unshare', '--user', '--map-root-user', 'true'),
  'other-namespaces': () => anyOf(['--mount', '--net', '--uts', '--ipc'], (flag) => program('unshare', flag, 'true')),
  'enter-namespace': () => program('nsenter', '--target', '1', '--mount', '--net', 'true'),
  mount: () => {
    const target = join(tmpdir(), `virga-doctor-mount-${process.pid}`);
    mkdirSync(target);
    try {
      return attempt(() => {
        systemCall('mount', text('none'), text(target), text('tmpfs'), 0, 0);
        systemCall('umount2', text(target), MNT_DETACH);
        return 'a file system was mounted';
      });
    } finally {
      rmSync(target, { recursive: true });
    }
  },
  'device-node': () => {
    const node = join(tmpdir(), `virga-doctor-disk-${process.pid}`);
    return attempt(() => {
      systemCall('mknodat', AT_FDCWD, text(node), BLOCK_DEVICE, FIRST_DISK);
      rmSync(node);
      return 'the first disk got a name';
    });
  },
  ptrace: () => attempt(() => `tracing is allowed (${systemCall('ptrace', 0, 0, 0, 0)})`),
  keyring: () => {
    const processKeyring = -2;
    return attempt(() => `key ${systemCall('add_key', text('user'), text('virga-doctor'), text('x'), 1, processKeyring)}`);
  },
  bpf: () => {
    const arrayOfOne = Buffer.alloc(128);
    for (const [index, value] of [2, 4, 4, 1].entries()) arrayOfOne.writeUInt32LE(value, index * 4);
    return getsDescriptor('bpf', 0, arrayOfOne, arrayOfOne.length);
  },
  perf: () => {
    const clock = Buffer.alloc(112);
    clock.writeUInt32LE(1, 0);
    clock.writeUInt32LE(clock.length, 4);
    return getsDescriptor('perf_event_open', clock, 0, -1, -1, 0);
  },
  'io-uring': () => getsDescriptor('io_uring_setup', 4, Buffer.alloc(120)),
  userfaultfd: () => anyOf([0, 1], (userModeOnly) => getsDescriptor('userfaultfd', userModeOnly)),
  'file-handles': () => reachesKernel('open_by_handle_at', AT_FDCWD, Buffer.alloc(8), 0),
  modules: () => reachesKernel('finit_module', -1, text(''), 0),
  'kernel-log': () => {
    const log = Buffer.alloc(4_096);
    return attempt(() => `${systemCall('syslog', 3, log, log.length)} bytes of it`);
  },
  'raw-sockets': () =>
    anyOf([AF.inet, AF.packet], (family) => getsDescriptor('socket', family, SOCK.raw, family === AF.inet ? IPPROTO_ICMP : 0)),
  vsock: () => getsDescriptor('socket', AF.vsock, SOCK.stream, 0),
  sysctl: () => anyOf(['/proc/sys/kernel/core_pattern', '/proc/sys/vm/overcommit_memory', '/proc/sysrq-trigger'], opensForWriting),
  cgroups: () =>
    anyOf(['cgroup.procs', 'memory/cgroup.procs', 'unified/cgroup.procs'], (file) => opensForWriting(join('/sys/fs/cgroup', file))),
};

function ownStatus(name: string): string {
  return new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
}

/** Nothing is written: that it could be is enough. */
function opensForWriting(file: string): Outcome {
  return attempt(() => {
    closeSync(openSync(file, 'r+'));
    return `${file} is writable`;
  });
}

function program(name: string, ...args: string[]): Outcome {
  const { status, stderr, error } = spawnSync(name, args, { encoding: 'utf8', timeout: 5_000 });
  if (error !== undefined) return refused(`${name}: ${(error as NodeJS.ErrnoException).code ?? error.message}`);
  const words = stderr.trim().split('\n').at(-1) ?? '';
  return status === 0 ? through(`${name} ${args[0]} worked`) : refused(/: ([^:]*)$/.exec(words)?.[1] ?? words);
}
