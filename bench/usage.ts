// What a tree of processes uses, from /proc: CPU time, memory (resident, and proportional: shared pages divided by those
// who share them), and which of it are sandboxes. Counts kernel and user time, ended children included, in ticks of 10 ms.
// Invariant: reads only; a process that ends meanwhile counts as nothing. Callers: warm.ts, density.ts, overload.ts.
import { readFileSync } from 'node:fs';
import { descendants } from '../test/system/virga.ts';

const TICK_US = 10_000;
const MARK = 'VIRGA_SANDBOX_MARK=';

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

/** CPU time that `root` and all below it have used so far, µs. */
export function cpuUs(root: number): number {
  let ticks = 0;
  for (const { pid } of descendants(root)) {
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime, stime, and those of children that have ended and were waited for.
    for (const field of [11, 12, 13, 14]) ticks += Number(fields[field] ?? 0);
  }
  return ticks * TICK_US;
}

export interface Memory {
  processes: number;
  pssMiB: number;
  rssMiB: number;
}

function memoryOf(pids: number[]): Memory {
  let [pssKiB, rssKiB] = [0, 0];
  for (const pid of pids) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    pssKiB += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    rssKiB += Number(/^Rss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
  }
  return { processes: pids.length, pssMiB: pssKiB / 1024, rssMiB: rssKiB / 1024 };
}

export const residentMiB = (pid: number): number => Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024;

export interface SandboxUse extends Memory {
  id: string;
  /** What the kernel counts against its memory limit; null where it has no such limit. */
  cgroupMiB: number | null;
}

export interface TreeUse {
  all: Memory;
  /** All but the sandboxes: supervisor, edge, control, launcher, postgres. */
  platform: Memory;
  /** PSS of the platform by role, MiB; what carries no role's name is `postgres`. */
  rolesMiB: Record<string, number>;
  sandboxes: SandboxUse[];
}

/** The pids of the sandboxes below `root`, by id. A process belongs to the nearest of its parents that carries a mark. */
export function sandboxesOf(root: number): Map<string, number[]> {
  const owner = new Map<number, string>();
  const sandboxes = new Map<string, number[]>();
  for (const { pid, parent } of descendants(root)) {
    const environment = `\0${read(`/proc/${pid}/environ`)}`;
    const at = environment.indexOf(`\0${MARK}`);
    const own = at === -1 ? undefined : environment.slice(at + 1 + MARK.length).split('\0', 1)[0];
    const id = owner.get(parent) ?? own;
    if (id === undefined) continue;
    owner.set(pid, id);
    const members = sandboxes.get(id) ?? [];
    members.push(pid);
    sandboxes.set(id, members);
  }
  return sandboxes;
}

export function useOf(root: number): TreeUse {
  const sandboxes = sandboxesOf(root);
  const inside = new Set([...sandboxes.values()].flat());
  const family = descendants(root);
  const all = family.map(({ pid }) => pid);
  const rolesMiB: Record<string, number> = {};
  for (const { pid, command } of family) {
    if (inside.has(pid)) continue;
    const role = pid === root ? 'supervisor' : (/main\.ts role (\w+)/.exec(command)?.[1] ?? 'postgres');
    rolesMiB[role] = (rolesMiB[role] ?? 0) + memoryOf([pid]).pssMiB;
  }
  return {
    all: memoryOf(all),
    platform: memoryOf(all.filter((pid) => !inside.has(pid))),
    rolesMiB,
    sandboxes: [...sandboxes].map(([id, pids]) => ({ id, ...memoryOf(pids), cgroupMiB: cgroupMiB(pids.at(-1)!) })),
  };
}

function cgroupMiB(pid: number): number | null {
  const lines = read(`/proc/${pid}/cgroup`).split('\n');
  const v1 = lines.map((line) => /^\d+:(?:.*,)?memory(?:,.*)?:(.*)$/.exec(line)?.[1]).find((path) => path !== undefined);
  const v2 = lines.map((line) => /^0::(.*)$/.exec(line)?.[1]).find((path) => path !== undefined);
  const bytes =
    (v1 === undefined ? '' : read(`/sys/fs/cgroup/memory${v1}/memory.usage_in_bytes`)) ||
    (v2 === undefined ? '' : read(`/sys/fs/cgroup${v2}/memory.current`));
  return bytes === '' ? null : Number(bytes) / 2 ** 20;
}
