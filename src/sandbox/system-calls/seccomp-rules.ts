// For which arguments the calls are allowed that are not allowed for all: sockets, threads, requests to files, limits.
// Invariant: what is listed is allowed, and nothing else; a rule looks at numbers in registers alone, never at memory, which
// another thread could change after the look. Data and pure functions. Caller: seccomp.ts, which compiles them.
import type { CHECKED } from './seccomp-table.ts';

export const ALLOW = 0x7fff0000;
export const KILL_PROCESS = 0x80000000;
const FAIL_WITH = 0x00050000;
export const EPERM = FAIL_WITH | 1;
const ENOTTY = FAIL_WITH | 25;
export const ENOSYS = FAIL_WITH | 38;

/** A verdict, or a question whose answer leads to one. */
export type Rule = number | { word: number; mask?: number; test: 'equals' | 'reaches' | 'has'; value: number; yes: Rule; no: Rule };

/** Where an argument is in the kernel's struct seccomp_data: its low half. The high one is ignored by the kernel as well where that takes an int. */
const argument = (index: number): number => 16 + 8 * index;
const argumentHigh = (index: number): number => argument(index) + 4;

function oneOf(word: number, values: readonly number[], yes: Rule, no: Rule): Rule {
  return values.reduceRight<Rule>((rest, value) => ({ word, test: 'equals', value, yes, no: rest }), no);
}

const CLONE_NEW_ANY = 0x7e02_0000;
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const SOCKET_TYPE_MASK = 0xf;
const [SOCK_STREAM, SOCK_DGRAM] = [1, 2];
const [BY_TYPE, TCP, UDP] = [0, 6, 17];
const NETLINK_ROUTE = 0;
/** Of S_IFMT: set in character and block devices, in neither files nor named pipes nor sockets. */
const DEVICE_BIT = 0x2000;
const RLIMIT_CORE = 4;
const PERSONALITY_ASK = 0xffff_ffff;
const TERMINAL_REQUESTS_REFUSED = { TIOCSTI: 0x5412, TIOCLINUX: 0x541c };

/** There is no terminal in a sandbox, and no other device to speak of: these are the requests that files and sockets answer. */
const REQUESTS = {
  FIONBIO: 0x5421,
  FIOCLEX: 0x5451,
  FIONCLEX: 0x5450,
  FIONREAD: 0x541b,
  FIOASYNC: 0x5452,
  FIOQSIZE: 0x5460,
  SIOCOUTQ: 0x5411,
  SIOCATMARK: 0x8905,
  SIOCGIFNAME: 0x8910,
  SIOCGIFCONF: 0x8912,
  SIOCGIFFLAGS: 0x8913,
  SIOCGIFADDR: 0x8915,
  SIOCGIFBRDADDR: 0x8919,
  SIOCGIFNETMASK: 0x891b,
  SIOCGIFMTU: 0x8921,
  SIOCGIFHWADDR: 0x8927,
  SIOCGIFINDEX: 0x8933,
  FS_IOC_GETFLAGS: 0x8008_6601,
  FICLONE: 0x4004_9409,
  FICLONERANGE: 0x4020_940d,
};

const PROCESS_OPTIONS = {
  PR_SET_PDEATHSIG: 1,
  PR_GET_PDEATHSIG: 2,
  PR_GET_DUMPABLE: 3,
  PR_SET_DUMPABLE: 4,
  PR_GET_KEEPCAPS: 7,
  PR_SET_NAME: 15,
  PR_GET_NAME: 16,
  PR_GET_SECCOMP: 21,
  PR_CAPBSET_READ: 23,
  PR_GET_SECUREBITS: 27,
  PR_SET_TIMERSLACK: 29,
  PR_GET_TIMERSLACK: 30,
  PR_SET_CHILD_SUBREAPER: 36,
  PR_GET_CHILD_SUBREAPER: 37,
  PR_SET_NO_NEW_PRIVS: 38,
  PR_GET_NO_NEW_PRIVS: 39,
  PR_GET_TID_ADDRESS: 40,
  PR_SET_VMA: 0x5356_4d41,
};

/** Protocols are named, since SOCK_STREAM alone also opens SCTP, MPTCP and SMC, each with holes of its own. */
const INTERNET = oneOf(argument(2), [BY_TYPE, TCP, UDP], ALLOW, EPERM);
const STREAM_OR_DATAGRAM: Rule = {
  word: argument(1),
  mask: SOCKET_TYPE_MASK,
  test: 'equals',
  value: SOCK_STREAM,
  yes: INTERNET,
  no: { word: argument(1), mask: SOCKET_TYPE_MASK, test: 'equals', value: SOCK_DGRAM, yes: INTERNET, no: EPERM },
};

/**
 * RLIMIT_CORE is 1 byte in a sandbox: too little for a file, and the one number that also keeps a program in core_pattern,
 * which the kernel starts outside of all walls, from being started. So it stays.
 */
const CORE_LIMIT_STAYS: Rule = {
  word: argument(1),
  test: 'equals',
  value: RLIMIT_CORE,
  yes: oneOf(argument(2), [0], oneOf(argumentHigh(2), [0], ALLOW, EPERM), EPERM),
  no: ALLOW,
};

export const RULES: Record<keyof typeof CHECKED, Rule> = {
  clone: { word: argument(0), test: 'has', value: CLONE_NEW_ANY, yes: EPERM, no: ALLOW },
  socket: oneOf(
    argument(0),
    [AF_INET, AF_INET6],
    STREAM_OR_DATAGRAM,
    oneOf(argument(0), [AF_UNIX], ALLOW, oneOf(argument(0), [AF_NETLINK], oneOf(argument(2), [NETLINK_ROUTE], ALLOW, EPERM), EPERM)),
  ),
  socketpair: oneOf(argument(0), [AF_UNIX], ALLOW, EPERM),
  ioctl: oneOf(argument(1), Object.values(REQUESTS), ALLOW, oneOf(argument(1), Object.values(TERMINAL_REQUESTS_REFUSED), EPERM, ENOTTY)),
  prctl: oneOf(argument(0), Object.values(PROCESS_OPTIONS), ALLOW, EPERM),
  personality: oneOf(argument(0), [0, PERSONALITY_ASK], ALLOW, EPERM),
  mknod: { word: argument(1), test: 'has', value: DEVICE_BIT, yes: EPERM, no: ALLOW },
  mknodat: { word: argument(2), test: 'has', value: DEVICE_BIT, yes: EPERM, no: ALLOW },
  setrlimit: oneOf(argument(0), [RLIMIT_CORE], EPERM, ALLOW),
  prlimit64: CORE_LIMIT_STAYS,
};
