// The section for runc against the program for the kernel: over calls with arguments of all kinds, what the section allows
// the program allows, and what it does not allow beyond that is known by name.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALLOW, RULES } from '../system-calls/seccomp-rules.ts';
import type { Rule } from '../system-calls/seccomp-rules.ts';
import { entriesOf, systemCallFilter, type SyscallEntry } from './system-call-filter.ts';

const VALUES = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 10n, 16n, 17n, 0x2000n, 0x5413n, 0x5421n, 0x8000_0001n, 0x1000_0000_0n, 0x1_0000_0004n];
const RANDOM = [0xffff_ffffn, 0x7e02_0000n, 0x11n, 0x0800n, 0x8_0801n, 0x1200_0011n];

function byProgram(rule: Rule, args: bigint[]): number {
  if (typeof rule === 'number') return rule;
  const at = rule.word - 16;
  const word = (args[at >> 3]! >> (at % 8 === 0 ? 0n : 32n)) & 0xffff_ffffn;
  const value = rule.mask === undefined ? word : word & BigInt(rule.mask);
  const wanted = BigInt(rule.value);
  const yes = rule.test === 'equals' ? value === wanted : rule.test === 'has' ? (value & wanted) !== 0n : value >= wanted;
  return byProgram(yes ? rule.yes : rule.no, args);
}

function bySection(entries: SyscallEntry[], args: bigint[]): boolean {
  return entries.some(
    ({ action, args: wanted = [] }) =>
      action === 'SCMP_ACT_ALLOW' &&
      wanted.every(({ index, op, value, valueTwo }) =>
        op === 'SCMP_CMP_EQ' ? args[index] === BigInt(value) : (args[index]! & BigInt(value)) === BigInt(valueTwo!),
      ),
  );
}

test('the section allows what the program allows, for every call whose arguments are looked at', () => {
  for (const [name, rule] of Object.entries(RULES)) {
    const entries = entriesOf(name, rule);
    for (const entry of entries) {
      const indices = (entry.args ?? []).map(({ index }) => index);
      assert.equal(new Set(indices).size, indices.length, `${name}: two comparisons of one argument`);
    }
    const all = [...VALUES, ...RANDOM];
    for (const first of all) {
      for (const second of all) {
        for (const third of all) {
          const args = [first, second, third];
          assert.equal(bySection(entries, args), byProgram(rule, args) === ALLOW, `${name}(${args.join(', ')})`);
        }
      }
    }
  }
});

test('runc gets the section, crun the program, gVisor neither, and an unknown processor a note', () => {
  const runc = systemCallFilter('runc', 'x64').filter!;
  assert.deepEqual(Object.keys(runc.seccomp!), ['defaultAction', 'defaultErrnoRet', 'architectures', 'syscalls']);
  const crun = systemCallFilter('crun', 'x64').filter!;
  assert.equal(crun.seccomp, undefined);
  assert.equal(Buffer.from(crun.annotations['run.oci.seccomp_bpf_data']!, 'base64').length % 8, 0);
  assert.deepEqual(systemCallFilter('runsc', 'x64'), { filter: null, note: null });
  assert.match(systemCallFilter('crun', 'riscv64').note!, /no system call filter for riscv64/);
});
