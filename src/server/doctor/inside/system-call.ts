// System calls as a hostile function would make them: by number, past every library. Invariant: what it answers is what
// the kernel said. Used by kernel.ts.
// Numbers: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
import { dlopen, getInt32, getRawPointer } from 'node:ffi';
import { getSystemErrorName } from 'node:util';
import { attempt, refused, through } from './attack.ts';
import type { Outcome } from './attack.ts';

const NUMBERS = {
  ptrace: { x64: 101, arm64: 117 },
  mount: { x64: 165, arm64: 40 },
  umount2: { x64: 166, arm64: 39 },
  add_key: { x64: 248, arm64: 217 },
  bpf: { x64: 321, arm64: 280 },
  perf_event_open: { x64: 298, arm64: 241 },
  io_uring_setup: { x64: 425, arm64: 425 },
  userfaultfd: { x64: 323, arm64: 282 },
  open_by_handle_at: { x64: 304, arm64: 265 },
  finit_module: { x64: 313, arm64: 273 },
  mknodat: { x64: 259, arm64: 33 },
  syslog: { x64: 103, arm64: 116 },
  socket: { x64: 41, arm64: 198 },
  close: { x64: 3, arm64: 57 },
} as const;

export type SystemCall = keyof typeof NUMBERS;

const WORD = 'u64';
const { functions: libc } = dlopen(null, {
  syscall: { arguments: [WORD, WORD, WORD, WORD, WORD, WORD, WORD], return: 'i64' },
  __errno_location: { arguments: [], return: 'pointer' },
});

/** Answers the result, or throws an error with the code of errno. Buffers are passed by address. */
export function systemCall(name: SystemCall, ...args: (number | Buffer)[]): number {
  const number = NUMBERS[name][process.arch as 'x64' | 'arm64'];
  const words = args.map((arg) => (typeof arg === 'number' ? BigInt.asUintN(64, BigInt(arg)) : getRawPointer(arg)));
  while (words.length < 6) words.push(0n);
  const result = Number(libc.syscall(...([BigInt(number), ...words] as Parameters<typeof libc.syscall>)));
  if (result !== -1) return result;
  const code = getSystemErrorName(-getInt32(libc['__errno_location'](), 0));
  throw Object.assign(new Error(code), { code });
}

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** Through when the kernel hands out a descriptor. */
export function getsDescriptor(name: SystemCall, ...args: (number | Buffer)[]): Outcome {
  return attempt(() => {
    systemCall('close', systemCall(name, ...args));
    return 'the kernel handed it out';
  });
}

/** Through unless it is refused for want of a right: with these arguments it could not succeed anywhere. */
export function reachesKernel(name: SystemCall, ...args: (number | Buffer)[]): Outcome {
  const { through: done, detail } = attempt(() => systemCall(name, ...args));
  return !done && /^(EPERM|EACCES|ENOSYS)$/.test(detail) ? refused(detail) : through(`it is carried out (${detail})`);
}
