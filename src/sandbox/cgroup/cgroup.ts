// The cgroups of one sandbox: one folder in each hierarchy that offers a controller we need (a single one with v2, one
// for each of memory, cpu, pids with v1). Made with their limits before the first process enters; destroyed after the last
// has left. All calls are synchronous where they are on the way to a start: a cgroup file takes 5-50 µs.
// Callers: bubblewrap/bubblewrap.ts, sweep in hierarchies.ts.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../process-tree.ts';
import { NOTHING_COUNTED } from '../sandbox.ts';
import type { SandboxControls, SandboxUsage } from '../sandbox.ts';

/** In v2 the freezer and the count of processor time are no controllers but part of every folder. */
export type Controller = 'memory' | 'cpu' | 'pids' | 'freezer' | 'cpuacct';

/** A folder under which sandboxes get their own, and what can be limited there. */
export interface Hierarchy {
  version: 1 | 2;
  controllers: Controller[];
  folder: string;
}

export interface CgroupLimits {
  memoryBytes: number;
  cpus: number | null;
  pids: number;
  /** Gets what CPU the others leave, until promote(). */
  background: boolean;
}

/**
 * v1: a thread that moves itself needs no lock, where cgroup.procs takes the one that stops all forks of the machine and
 * waits a grace period of the kernel for it: 10 ms on an idle machine. v2 has no such entrance for a sandbox.
 */
const ENTRANCE_V1 = 'tasks';
/** Quotas are counted in short periods: with the usual 100 ms one, a call can stall for as long as 100 ms - quota. */
const CPU_PERIOD_US = 20_000;
const CPU_QUOTA_US_MIN = 1_000;
const FREEZER_V1 = 'freezer.state';
const THAWED_V1 = 'THAWED';
/** Of 100 (v2) or 1024 (v1), the share of any other. */
const SHARE = { 1: { file: 'cpu.shares', usual: 1_024, background: 2 }, 2: { file: 'cpu.weight', usual: 100, background: 1 } } as const;

export class Cgroup {
  #folders: { version: 1 | 2; controllers: Controller[]; folder: string; above: string }[] = [];

  /** Makes the folders and sets the limits. Throws when a limit is not taken: then nothing is left behind. */
  static create(hierarchies: Hierarchy[], id: string, limits: CgroupLimits): Cgroup {
    const group = new Cgroup();
    try {
      for (const hierarchy of hierarchies) {
        const folder = join(hierarchy.folder, id);
        mkdirSync(folder);
        group.#folders.push({ ...hierarchy, folder, above: hierarchy.folder });
        for (const controller of hierarchy.controllers) setLimit(hierarchy.version, controller, folder, limits);
      }
    } catch (error) {
      for (const { folder, above } of group.#folders) if (removeEmpty(folder)) removeEmpty(above);
      throw error;
    }
    return group;
  }

  /** A process of one thread enters by writing 0 into each of these. */
  get entrances(): string[] {
    return this.#folders.map(({ version, folder }) => join(folder, version === 1 ? ENTRANCE_V1 : 'cgroup.procs'));
  }

  /** How to stop and resume everything in it, and where it tells what it holds; null where the kernel offers no such file. */
  get controls(): SandboxControls {
    const controls: SandboxControls = { freezer: null, memory: null, processor: null };
    for (const { version, controllers, folder } of this.#folders) {
      if (controllers.includes('memory')) controls.memory = join(folder, version === 2 ? 'memory.current' : 'memory.usage_in_bytes');
      if (version === 2 && existsSync(join(folder, 'cpu.stat'))) {
        controls.processor = { file: join(folder, 'cpu.stat'), unit: 'usage_usec' };
      } else if (controllers.includes('cpuacct')) controls.processor = { file: join(folder, 'cpuacct.usage'), unit: 'ns' };
      if (version === 2 && existsSync(join(folder, 'cgroup.freeze'))) {
        controls.freezer = { file: join(folder, 'cgroup.freeze'), freeze: '1', thaw: '0' };
      } else if (controllers.includes('freezer')) {
        controls.freezer = { file: join(folder, FREEZER_V1), freeze: 'FROZEN', thaw: THAWED_V1 };
      }
    }
    return controls;
  }

  promote(): void {
    for (const { version, controllers, folder } of this.#folders) {
      const file = join(folder, SHARE[version].file);
      // It may have ended meanwhile.
      if (controllers.includes('cpu') && existsSync(file)) writeFileSync(file, String(SHARE[version].usual));
    }
  }

  /** Whether the kernel has killed something in here at the memory limit. */
  outOfMemory(): boolean {
    for (const { version, controllers, folder } of this.#folders) {
      if (!controllers.includes('memory')) continue;
      const counters = read(join(folder, version === 2 ? 'memory.events' : 'memory.oom_control'));
      return Number(/^oom_kill (\d+)$/m.exec(counters)?.[1] ?? 0) > 0;
    }
    return false;
  }

  /** What was counted up to now: read before destroy(). */
  usage(): SandboxUsage {
    const usage = { ...NOTHING_COUNTED };
    for (const { version, controllers, folder } of this.#folders) {
      // memory.peak came with Linux 5.19.
      if (controllers.includes('memory'))
        usage.peakMemoryBytes = count(folder, version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes');
      if (!controllers.includes('pids')) continue;
      usage.pidsRefused = count(folder, 'pids.events', /^max (\d+)$/m);
    }
    return usage;
  }

  pids(): number[] {
    const pids = new Set<number>();
    for (const { folder } of this.#folders) for (const pid of pidsIn(folder)) pids.add(pid);
    return [...pids];
  }

  kill(): void {
    for (const { folder } of this.#folders) killFolder(folder);
  }

  /** Kills what is left and removes the folders; resolves false when that did not succeed within `withinMs`. */
  async destroy(options: { withinMs: number }): Promise<boolean> {
    let gone = true;
    for (const { folder, above } of this.#folders) {
      gone = (await destroyFolder(folder, options)) && gone;
      // The folder of all sandboxes goes with the last of them: an idle launcher that is killed leaves nothing.
      removeEmpty(above);
    }
    return gone;
  }
}

/** Kills every process in the folder and removes it. It may hold no further folders. */
export async function destroyFolder(folder: string, options: { withinMs: number }): Promise<boolean> {
  const until = performance.now() + options.withinMs;
  // The last process leaves some time after its end was reported: the first tries come quickly, then less often.
  for (let pauseMs = 1; !removeEmpty(folder); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (performance.now() > until) return false;
    killFolder(folder);
    await sleep(pauseMs);
  }
  return true;
}

/** The same for a process that is about to end, and so cannot wait: blocks, in short sleeps. */
export function destroyFolderNow(folder: string, options: { withinMs: number }): boolean {
  const until = performance.now() + options.withinMs;
  while (!removeEmpty(folder)) {
    if (performance.now() > until) return false;
    killFolder(folder);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  }
  return true;
}

/** Sends the end to every process in the folder, frozen ones too; they leave it some time later. */
export function killFolder(folder: string): void {
  try {
    // With v1 what is frozen cannot die.
    if (existsSync(join(folder, FREEZER_V1))) writeFileSync(join(folder, FREEZER_V1), THAWED_V1);
    // One write ends all of them at once (v2, from Linux 5.14).
    if (existsSync(join(folder, 'cgroup.kill'))) writeFileSync(join(folder, 'cgroup.kill'), '1');
  } catch {
    // Removed meanwhile, or not ours to kill in this way: one by one.
  }
  for (const pid of pidsIn(folder)) signal(pid, 'SIGKILL');
}

function setLimit(version: 1 | 2, controller: Controller, folder: string, limits: CgroupLimits): void {
  const set = (file: string, value: number | string): void => writeFileSync(join(folder, file), String(value));
  const setIfThere = (file: string, value: number | string): void => {
    if (existsSync(join(folder, file))) set(file, value);
  };
  if (controller === 'memory') {
    if (version === 2) {
      set('memory.max', limits.memoryBytes);
      setIfThere('memory.swap.max', 0);
      // The sandbox ends as a whole: a half-killed one would hang until its timeout.
      setIfThere('memory.oom.group', 1);
    } else {
      set('memory.limit_in_bytes', limits.memoryBytes);
      // Memory and swap together, so no swap; absent when the kernel does not account swap.
      setIfThere('memory.memsw.limit_in_bytes', limits.memoryBytes);
    }
  } else if (controller === 'pids') {
    set('pids.max', limits.pids);
    return;
  }
  if (controller !== 'cpu') return;
  if (limits.background) set(SHARE[version].file, SHARE[version].background);
  if (limits.cpus !== null) {
    const quotaUs = Math.max(CPU_QUOTA_US_MIN, Math.round(limits.cpus * CPU_PERIOD_US));
    if (version === 2) {
      set('cpu.max', `${quotaUs} ${CPU_PERIOD_US}`);
    } else {
      set('cpu.cfs_period_us', CPU_PERIOD_US);
      set('cpu.cfs_quota_us', quotaUs);
    }
  }
}

function pidsIn(folder: string): number[] {
  return read(join(folder, 'cgroup.procs'))
    .split('\n')
    .filter(Boolean)
    .map(Number)
    .filter((pid) => pid > 0);
}

function removeEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

function count(folder: string, file: string, pattern = /^(\d+)$/m): number | null {
  const found = pattern.exec(read(join(folder, file)));
  return found === null ? null : Number(found[1]);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
