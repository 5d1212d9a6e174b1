// The system call filter, run by an interpreter of the few instructions that it uses. That the kernel takes it is shown by
// the drivers' suite.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seccompFilter } from './seccomp.ts';

const ALLOWED = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILLED = 0x80000000;
const X64 = 0xc000003e;
const ARM64 = 0xc00000b7;

function verdict(filter: Buffer, call: number, architecture: number): number {
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const code = filter.readUInt16LE(at * 8);
    const value = filter.readUInt32LE(at * 8 + 4);
    const jump = (yes: boolean): number => filter[at * 8 + (yes ? 2 : 3)]!;
    if (code === 0x06) return value;
    if (code === 0x20) accumulator = value === 0 ? call : architecture;
    else if (code === 0x15) at += jump(accumulator === value);
    else if (code === 0x35) at += jump(accumulator >= value);
    else assert.fail(`instruction ${code}`);
  }
}

test('what is listed is refused, and everything else allowed', () => {
  const x64 = seccompFilter('x64')!;
  const arm64 = seccompFilter('arm64')!;
  for (const call of [101, 165, 250, 272, 308, 321, 323, 429, 442]) assert.equal(verdict(x64, call, X64), EPERM, String(call));
  for (const call of [117, 40, 219, 97, 268, 280, 282, 429, 442]) assert.equal(verdict(arm64, call, ARM64), EPERM, String(call));
  for (const call of [0, 1, 9, 56, 59, 202, 435, 449, 1000]) assert.equal(verdict(x64, call, X64), ALLOWED, String(call));
  for (const call of [56, 63, 64, 220, 221, 222, 435]) assert.equal(verdict(arm64, call, ARM64), ALLOWED, String(call));
});

test('io_uring is absent', () => {
  for (const call of [425, 426, 427]) assert.equal(verdict(seccompFilter('x64')!, call, X64), ENOSYS);
});

test('calls by another processor’s numbers are no way around', () => {
  const i386 = 0x40000003;
  assert.equal(verdict(seccompFilter('x64')!, 21, i386), KILLED);
  assert.equal(verdict(seccompFilter('x64')!, 0x40000000 + 165, X64), ENOSYS);
});

test('a processor whose numbers are not known has no filter', () => {
  assert.equal(seccompFilter('riscv64'), null);
});
