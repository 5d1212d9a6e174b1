// System calls made by hand, past every library: what code in a function can do through node:ffi. Deployed together with the
// attacks that use it (kernel.ts, protocol.ts); hostile-kernel.test.ts also runs it outside of a sandbox, to compare.
import ffi from 'node:ffi';
import { getSystemErrorName } from 'node:util';

/** On x86-64 and arm64. */
const NUMBERS = {
  add_key: [248, 217],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_settime: [227, 112],
  clone: [56, 220],
  clone3: [435, 435],
  exit_group: [231, 94],
  fanotify_init: [300, 262],
  fsopen: [430, 430],
  init_module: [175, 105],
  io_uring_setup: [425, 425],
  ioctl: [16, 29],
  kcmp: [312, 272],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  mknodat: [259, 33],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  personality: [135, 92],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pivot_root: [155, 41],
  prctl: [157, 167],
  prlimit64: [302, 261],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  ptrace: [101, 117],
  reboot: [169, 142],
  request_key: [249, 218],
  seccomp: [317, 277],
  sendmsg: [46, 211],
  sethostname: [170, 161],
  setns: [308, 268],
  shmget: [29, 194],
  socket: [41, 198],
  sync: [162, 81],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
  vmsplice: [278, 75],
} as const;

type Argument = number | bigint | string | Buffer;

const LONG = 'i64';
const lib = () =>
  ffi.dlopen(null, {
    syscall: { arguments: [LONG, LONG, LONG, LONG, LONG, LONG, LONG], return: LONG },
    __errno_location: { arguments: [], return: 'pointer' },
  }).functions;
let functions: ReturnType<typeof lib> | undefined;

/** What it returned, or the name of its error. Text goes as a C string, a Buffer as its address. */
export function systemCall(name: keyof typeof NUMBERS, ...args: Argument[]): bigint | string {
  return systemCallByNumber(NUMBERS[name][process.arch === 'arm64' ? 1 : 0], ...args);
}

export function systemCallByNumber(number: number, ...args: Argument[]): bigint | string {
  functions ??= lib();
  const memory: Buffer[] = [];
  const raw = [0, 1, 2, 3, 4, 5].map((index) => {
    const value = args[index] ?? 0;
    if (typeof value === 'number' || typeof value === 'bigint') return BigInt.asIntN(64, BigInt(value));
    const bytes = typeof value === 'string' ? Buffer.from(`${value}\0`) : value;
    memory.push(bytes);
    return addressOf(bytes);
  });
  const [a, b, c, d, e, f] = raw as [bigint, bigint, bigint, bigint, bigint, bigint];
  const result = functions.syscall(BigInt(number), a, b, c, d, e, f);
  if (result !== -1n) return result;
  return getSystemErrorName(-ffi.getInt32(functions['__errno_location'](), 0));
}

export function addressOf(bytes: Buffer): bigint {
  return ffi.getRawPointer(bytes);
}
