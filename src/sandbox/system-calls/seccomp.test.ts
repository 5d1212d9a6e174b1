// The system call filter, run by an interpreter of the few instructions that it uses. That the kernel takes it, and that
// programs work behind it, is shown by filtered-programs.integration.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ABSENT, ALLOWED, CHECKED } from './seccomp-table.ts';
import { seccompFilter } from './seccomp.ts';

const ALLOWS = 'allows';
const EPERM = 'EPERM';
const ENOTTY = 'ENOTTY';
const ENOSYS = 'ENOSYS';
const KILLS = 'kills';
const VERDICTS: Record<number, string> = {
  0x7fff0000: ALLOWS,
  0x00050001: EPERM,
  0x00050019: ENOTTY,
  0x00050026: ENOSYS,
  0x80000000: KILLS,
};
const X64 = 0xc000003e;
const ARM64 = 0xc00000b7;
const I386 = 0x40000003;
const INSTRUCTIONS_MAX = 4096;

function verdict(filter: Buffer, call: number, architecture: number, args: (number | bigint)[] = []): string {
  const seen = Buffer.alloc(64);
  seen.writeUInt32LE(call, 0);
  seen.writeUInt32LE(architecture, 4);
  for (const [index, value] of args.entries()) seen.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const code = filter.readUInt16LE(at * 8);
    const value = filter.readUInt32LE(at * 8 + 4);
    const jump = (yes: boolean): number => filter[at * 8 + (yes ? 2 : 3)]!;
    if (code === 0x06) return VERDICTS[value] ?? `return ${value.toString(16)}`;
    if (code === 0x20) accumulator = seen.readUInt32LE(value);
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x15) at += jump(accumulator === value);
    else if (code === 0x35) at += jump(accumulator >= value);
    else if (code === 0x45) at += jump((accumulator & value) !== 0);
    else assert.fail(`instruction ${code}`);
  }
}

const filters = { x64: seccompFilter('x64')!, arm64: seccompFilter('arm64')! };
const x64 = (call: number, ...args: (number | bigint)[]): string => verdict(filters.x64, call, X64, args);
const arm64 = (call: number, ...args: (number | bigint)[]): string => verdict(filters.arm64, call, ARM64, args);

test('what the table allows is allowed, and every other number is not', () => {
  for (const [column, ask] of [x64, arm64].entries()) {
    const allowed = new Set(ALLOWED.map((row) => row[1 + column]));
    const absent = new Set(ABSENT.map((row) => row[1 + column]));
    const checked = new Set<number | null | undefined>(Object.values(CHECKED).map((numbers) => numbers[column]));
    for (let call = 0; call < 1000; call++) {
      if (checked.has(call)) continue;
      const expected = allowed.has(call) ? ALLOWS : absent.has(call) || call > 450 ? ENOSYS : EPERM;
      assert.equal(ask(call), expected, String(call));
    }
  }
});

test('no number is in two lists', () => {
  for (const column of [0, 1] as const) {
    const rows = [...ALLOWED, ...ABSENT].map((row) => row[1 + column]);
    const numbers = [...rows, ...Object.values(CHECKED).map((checked) => checked[column])].filter((number) => number !== null);
    assert.equal(new Set(numbers).size, numbers.length);
  }
});

test('what has a long record of holes is refused on both processors', () => {
  // ptrace pivot_root mount umount2 init_module keyctl unshare setns perf_event_open open_by_handle_at process_vm_readv bpf userfaultfd
  for (const call of [101, 155, 165, 166, 175, 250, 272, 308, 298, 304, 310, 321, 323, 428, 442])
    assert.equal(x64(call), EPERM, String(call));
  for (const call of [117, 41, 40, 39, 105, 219, 97, 268, 241, 265, 270, 280, 282, 428, 442])
    assert.equal(arm64(call), EPERM, String(call));
});

test('what a library probes for looks absent: io_uring, clone3, and all that is newer than the table', () => {
  for (const call of [425, 426, 427, 435, 451, 467, 0x3fff_ffff, 0xffff_ffff]) assert.equal(x64(call), ENOSYS, String(call));
  assert.equal(arm64(435), ENOSYS);
});

test('threads and processes can be made, but with no namespace of their own', () => {
  const thread = 0x3d0f00;
  for (const [ask, clone] of [[x64, 56] as const, [arm64, 220] as const]) {
    assert.equal(ask(clone, thread), ALLOWS);
    assert.equal(ask(clone, 17), ALLOWS);
    for (const flag of [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]) {
      assert.equal(ask(clone, flag | 17), EPERM, flag.toString(16));
    }
  }
});

test('sockets are unix, TCP and UDP ones, and the one that lists network interfaces', () => {
  const nonBlocking = 0o4000 | 0o2000000;
  for (const [family, type, protocol] of [
    [1, 1, 0],
    [1, 5, 0],
    [2, 1, 0],
    [2, 1 | nonBlocking, 6],
    [10, 2, 17],
    [16, 3 | nonBlocking, 0],
  ]) {
    assert.equal(x64(41, family!, type!, protocol!), ALLOWS, `${family} ${type} ${protocol}`);
    assert.equal(arm64(198, family!, type!, protocol!), ALLOWS, `${family} ${type} ${protocol}`);
  }
  // Raw, packet, SCTP, MPTCP, ICMP, netfilter over netlink, packet family, AF_ALG, AF_VSOCK, AF_XDP.
  for (const [family, type, protocol] of [
    [2, 3, 1],
    [2, 10, 0],
    [2, 1, 132],
    [10, 1, 262],
    [2, 2, 1],
    [16, 3, 12],
    [17, 3, 0],
    [38, 5, 0],
    [40, 1, 0],
    [44, 3, 0],
  ]) {
    assert.equal(x64(41, family!, type!, protocol!), EPERM, `${family} ${type} ${protocol}`);
  }
  assert.equal(x64(53, 1, 1, 0), ALLOWS);
  assert.equal(x64(53, 30, 1, 0), EPERM);
});

test('requests to files are those that sockets and files answer', () => {
  for (const request of [0x5421, 0x541b, 0x8933]) assert.equal(x64(16, 3, request), ALLOWS, request.toString(16));
  assert.equal(x64(16, 0, 0x5412), EPERM);
  assert.equal(x64(16, 0, 0x541c), EPERM);
  assert.equal(x64(16, 0, 0x5401), ENOTTY);
  assert.equal(x64(16, 0, 0xffff_ffff_0000_5412n), EPERM);
});

test('a process may say some things about itself', () => {
  assert.equal(x64(157, 15), ALLOWS);
  assert.equal(x64(157, 0x5356_4d41), ALLOWS);
  // PR_SET_SECCOMP, PR_SET_MM, PR_CAP_AMBIENT, PR_SET_PTRACER.
  for (const option of [22, 35, 47, 0x5961_6d61]) assert.equal(x64(157, option), EPERM, String(option));
  assert.equal(x64(135, 0xffff_ffff), ALLOWS);
  assert.equal(x64(135, 0x0040_0000), EPERM);
});

test('named pipes can be made, devices cannot', () => {
  assert.equal(x64(133, 0, 0o010644), ALLOWS);
  for (const mode of [0o020644, 0o060644]) {
    assert.equal(x64(133, 0, mode), EPERM);
    assert.equal(x64(259, 0, 0, mode), EPERM);
    assert.equal(arm64(33, 0, 0, mode), EPERM);
  }
});

test('the limit of core dumps can be read and not be set', () => {
  assert.equal(x64(302, 0, 4, 0, 0x7fff_0000_0000n), ALLOWS);
  assert.equal(x64(302, 0, 4, 0x7fff_0000_0000n, 0), EPERM);
  assert.equal(x64(302, 0, 4, 0x1000, 0), EPERM);
  assert.equal(x64(302, 0, 7, 0x1000, 0), ALLOWS);
  assert.equal(x64(160, 4, 0x1000), EPERM);
  assert.equal(x64(160, 7, 0x1000), ALLOWS);
});

test('calls by another processor’s numbers end the process', () => {
  assert.equal(verdict(filters.x64, 21, I386), KILLS);
  assert.equal(verdict(filters.arm64, 21, X64), KILLS);
  assert.equal(x64(0x4000_0000), KILLS);
  assert.equal(x64(0x4000_0000 + 165), KILLS);
});

test('the program is no longer than the kernel takes', () => {
  for (const filter of Object.values(filters)) assert.ok(filter.length / 8 < INSTRUCTIONS_MAX);
});

test('a processor whose numbers are not known has no filter', () => {
  assert.equal(seccompFilter('riscv64'), null);
});
