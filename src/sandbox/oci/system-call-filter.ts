// The one filter of system calls (system-calls/seccomp.ts) in the form that each runtime takes: crun the program itself, runc
// the section of the specification, made from the same tables. Invariant: what the section allows the program allows too;
// what the section cannot say (a verdict for all values but several) is refused. Pure. Caller: oci.ts.
import { ALLOW, EPERM, RULES } from '../system-calls/seccomp-rules.ts';
import type { Rule } from '../system-calls/seccomp-rules.ts';
import { ABSENT, ALLOWED, CHECKED } from '../system-calls/seccomp-table.ts';
import { seccompFilter } from '../system-calls/seccomp.ts';
import type { SystemCallFilter } from './bundle.ts';
import type { OciRuntimeName } from './runtimes.ts';

interface Argument {
  index: number;
  op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
  /** Of MASKED_EQ: the mask. */
  value: number;
  /** Of MASKED_EQ: what the masked argument must be. */
  valueTwo?: number;
}

export interface SyscallEntry {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: Argument[];
}

type Question = Exclude<Rule, number>;
/** A question and its answer on the way to a verdict. */
type Step = Question & { answer: boolean };

const ARCHITECTURES: Record<string, string> = { x64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' };
const ERRNO_MASK = 0xffff;
const EPERM_NUMBER = 1;
const ENOSYS_NUMBER = 38;
const LOW = 0xffff_ffff;
/** Offset of the first argument in the kernel's struct seccomp_data, and the bytes of each. */
const ARGUMENTS_AT = 16;
const ARGUMENT_BYTES = 8;

/** `note`: why there is none, for people. */
export function systemCallFilter(
  runtime: OciRuntimeName,
  architecture: string = process.arch,
): { filter: SystemCallFilter | null; note: string | null } {
  // A guest's calls never reach the host's kernel; those of gVisor's own processes pass a filter that it brings.
  if (runtime === 'runsc') return { filter: null, note: null };
  const program = seccompFilter(architecture);
  if (program === null) return { filter: null, note: `there is no system call filter for ${architecture}` };
  if (runtime === 'runc') return { filter: { annotations: {}, seccomp: section(ARCHITECTURES[architecture]!) }, note: null };
  return { filter: { annotations: { 'run.oci.seccomp_bpf_data': program.toString('base64') }, seccomp: undefined }, note: null };
}

function section(architecture: string): object {
  const syscalls: SyscallEntry[] = [
    { names: ALLOWED.map(([name]) => name), action: 'SCMP_ACT_ALLOW' },
    { names: ABSENT.map(([name]) => name), action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS_NUMBER },
    ...Object.keys(CHECKED).flatMap((name) => entriesOf(name, RULES[name as keyof typeof RULES])),
  ];
  return { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: EPERM_NUMBER, architectures: [architecture], syscalls };
}

/** Each way through the rule to another verdict than the default one is an entry, or several. */
export function entriesOf(name: string, rule: Rule, way: Step[] = []): SyscallEntry[] {
  if (typeof rule !== 'number') {
    return [
      ...entriesOf(name, rule.yes, [...way, { ...rule, answer: true }]),
      ...entriesOf(name, rule.no, [...way, { ...rule, answer: false }]),
    ];
  }
  if (rule === EPERM) return [];
  const verdict =
    rule === ALLOW ? { action: 'SCMP_ACT_ALLOW' as const } : { action: 'SCMP_ACT_ERRNO' as const, errnoRet: rule & ERRNO_MASK };
  return combinations(way).map((args) => ({ names: [name], ...verdict, ...(args.length === 0 ? {} : { args }) }));
}

/** Lists of arguments of which one must hold, so that all steps do. The library takes one comparison for each argument. */
function combinations(way: Step[]): Argument[][] {
  const indices = [...new Set(way.map(({ word }) => indexOf(word)))];
  const choices = indices.map((index) =>
    comparisons(
      index,
      way.filter(({ word }) => indexOf(word) === index),
    ),
  );
  return choices.reduce<Argument[][]>((lists, one) => lists.flatMap((list) => one.map((argument) => [...list, argument])), [[]]);
}

/** Comparisons of one argument of which one must hold; none: it cannot be said. */
function comparisons(index: number, steps: Step[]): Argument[] {
  const fixed = steps.filter((step) => step.test === 'equals' && step.answer);
  const low = fixed.find(({ word }) => isLow(word));
  // What equals one value differs from the others.
  if (low !== undefined && fixed.length === 2 && low.value === 0) return [{ index, op: 'SCMP_CMP_EQ', value: 0 }];
  if (low !== undefined && fixed.length === 1) return [masked(index, low.mask ?? LOW, low.value)];
  const [only, ...more] = steps;
  if (only === undefined || more.length > 0 || !isLow(only.word) || only.answer) return [];
  if (only.test === 'has') return [masked(index, only.value, 0)];
  if (only.test !== 'equals') return [];
  // To differ is to differ in one of the bits.
  const mask = only.mask ?? LOW;
  const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter((bit) => (mask & bit) !== 0);
  return bits.map((bit) => masked(index, bit, (only.value & bit) === 0 ? bit : 0));
}

function masked(index: number, mask: number, value: number): Argument {
  return { index, op: 'SCMP_CMP_MASKED_EQ', value: mask, valueTwo: value };
}

function indexOf(word: number): number {
  return Math.floor((word - ARGUMENTS_AT) / ARGUMENT_BYTES);
}

function isLow(word: number): boolean {
  return (word - ARGUMENTS_AT) % ARGUMENT_BYTES === 0;
}
