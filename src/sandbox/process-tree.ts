// What /proc says about the processes of a sandbox: finding them by the mark in their environment, their descendants,
// their memory; and killing them until none is left. Only Linux has /proc: elsewhere every answer is empty.
// Invariant: a process is only ever killed here when it carries the mark of this data folder, or descends from one.
// Callers: both drivers (end of a sandbox), memory-watcher.ts, sweep.ts.
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MARK_VARIABLE } from './driver.ts';
import type { CpuClock } from './sandbox.ts';

/** Pids of living processes whose mark begins with `prefix` (`<scope>/` or `<scope>/<sandbox id>`). About 15 µs a process. */
export function markedProcesses(prefix: string): number[] {
  const wanted = Buffer.from(`${MARK_VARIABLE}=${prefix}`);
  const found: number[] = [];
  for (const pid of allPids()) {
    if (pid === process.pid) continue;
    try {
      // A zombie's environment reads empty: it is dead, and no concern of ours.
      const environment = readFileSync(`/proc/${pid}/environ`);
      const at = environment.indexOf(wanted);
      if (at === 0 || (at > 0 && environment[at - 1] === 0)) found.push(pid);
    } catch {
      // It ended, or belongs to another user: not ours.
    }
  }
  return found;
}

/** `root` and everything below it, parents before children. */
export function descendants(root: number): number[] {
  const all = [root];
  for (let i = 0; i < all.length && all.length < 100_000; i++) {
    for (const child of childrenOf(all[i]!)) if (!all.includes(child)) all.push(child);
  }
  return all;
}

/** Anonymous and shared memory that these processes hold, bytes; pages of files do not count. */
export function residentBytes(pids: number[]): number {
  let kib = 0;
  for (const pid of pids) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      for (const match of status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)) kib += Number(match[1]);
    } catch {
      // It ended.
    }
  }
  return kib * 1024;
}

/** What the scheduler has counted of the living threads of `root` and what is below it; at most `processesMax` are looked at. Null: nothing. */
export function cpuOfTree(root: number, options: { processesMax: number }): CpuClock | null {
  const clock = { ranMs: 0, queuedMs: 0 };
  let counted = false;
  const waiting = [root];
  for (let seen = 0; waiting.length > 0 && seen < options.processesMax; seen++) {
    const pid = waiting.shift()!;
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        const [ranNs, queuedNs] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
        clock.ranMs += Number(ranNs) / 1e6;
        clock.queuedMs += Number(queuedNs) / 1e6;
        counted = true;
      }
    } catch {
      // It ended, or this kernel keeps no such count.
    }
    waiting.push(...childrenOf(pid));
  }
  return counted ? clock : null;
}

/**
 * Kills what `find` finds until it finds nothing. Every round first stops all, so that a fork bomb cannot outrun it.
 * Resolves false when something is left after `withinMs`.
 */
export async function killAll(find: () => number[], options: { withinMs: number }): Promise<boolean> {
  const until = performance.now() + options.withinMs;
  for (;;) {
    const pids = find();
    if (pids.length === 0) return true;
    if (performance.now() > until) return false;
    for (const pid of pids) signal(pid, 'SIGSTOP');
    for (const pid of pids) signal(pid, 'SIGKILL');
    await sleep(2);
  }
}

/** Sends a signal to a process (negative: a group); one that is gone is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function allPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function childrenOf(pid: number): number[] {
  const children: number[] = [];
  try {
    // A child belongs to the thread that made it.
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      for (const child of readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').split(' ')) {
        if (child !== '') children.push(Number(child));
      }
    }
  } catch {
    // It ended meanwhile.
  }
  return children;
}
