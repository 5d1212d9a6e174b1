// The few system calls that Node does not offer and sockets inside another network namespace need, called by node:ffi.
// Invariant: what changes the namespace changes it for the calling thread alone, so only namespace-thread.ts may.
// Callers: namespace-thread.ts, original-destination.ts.
import { dlopen, getInt32 } from 'node:ffi';
import { getSystemErrorName } from 'node:util';

const CLONE_NEWNET = 0x4000_0000;
const [AF_INET, AF_INET6] = [2, 10];
const [SOCK_STREAM, SOCK_DGRAM] = [1, 2];
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const [SOL_SOCKET, SO_REUSEADDR] = [1, 2];
const [IPPROTO_IP, IPPROTO_IPV6, IPV6_V6ONLY] = [0, 41, 26];
const SO_ORIGINAL_DST = 80;

const { functions: libc } = dlopen(null, {
  __errno_location: { arguments: [], return: 'pointer' },
  unshare: { arguments: ['i32'], return: 'i32' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  getsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'], return: 'i32' },
  bind: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  close: { arguments: ['i32'], return: 'i32' },
});

/** Puts the calling thread into a new, empty network namespace. */
export function leaveForNewNetwork(): void {
  checked('unshare', libc.unshare(CLONE_NEWNET));
}

/** Puts the calling thread into the network namespace of the descriptor. */
export function enterNetwork(fd: number): void {
  checked('setns', libc.setns(fd, CLONE_NEWNET));
}

/** A socket bound to a port of every address of the calling thread's namespace, IPv4 and (where there is any) IPv6. */
export function boundSocket(kind: 'tcp' | 'udp', port: number): { fd: number; family: 4 | 6 } {
  const type = (kind === 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK_CLOEXEC;
  const v6 = libc.socket(AF_INET6, type, 0);
  const fd = v6 === -1 ? checked('socket', libc.socket(AF_INET, type, 0)) : v6;
  try {
    const yes = Buffer.from(Int32Array.of(1).buffer);
    const no = Buffer.from(Int32Array.of(0).buffer);
    if (kind === 'tcp') checked('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, yes, 4));
    if (v6 !== -1) checked('setsockopt', libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, no, 4));
    // sockaddr_in (16 bytes) or sockaddr_in6 (28), of the unspecified address.
    const address = Buffer.alloc(v6 === -1 ? 16 : 28);
    address.writeUInt16LE(v6 === -1 ? AF_INET : AF_INET6, 0);
    address.writeUInt16BE(port, 2);
    checked('bind', libc.bind(fd, address, address.length));
    return { fd, family: v6 === -1 ? 4 : 6 };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Where a connection was going before it was redirected here; null when the kernel does not know (any more). */
export function originalDestination(fd: number, family: 4 | 6): { address: Buffer; port: number } | null {
  const name = Buffer.alloc(28);
  const length = Buffer.from(Uint32Array.of(name.length).buffer);
  if (libc.getsockopt(fd, family === 4 ? IPPROTO_IP : IPPROTO_IPV6, SO_ORIGINAL_DST, name, length) !== 0) return null;
  return { address: family === 4 ? name.subarray(4, 8) : name.subarray(8, 24), port: name.readUInt16BE(2) };
}

function checked(call: string, result: number): number {
  if (result !== -1) return result;
  const errno = getInt32(libc['__errno_location']());
  throw new Error(`${call} failed: ${getSystemErrorName(-errno)}`);
}
