// Attacks on the machine's means: memory, processes, disk, CPU, descriptors. Each runs in a sandbox of its own and takes at
// most a bounded share, since where no limit holds it is the host's. Used by probe.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOf, refused, through } from './attack.ts';
import type { Attack, Outcome } from './attack.ts';

export interface Excess {
  memoryMiB: number;
  processes: number;
  tmpMiB: number;
  /** The CPUs that the sandbox was given. */
  cpus: number;
  descriptors: number;
}

const STEP = 8 << 20;
const CPU_MS = 1_000;
/** What a quota may be passed by: it is counted in periods, and Node has threads beside the one that spins. */
const CPU_TOLERANCE = 1.5;

export function limitAttacks(excess: Excess): Record<string, Attack> {
  return {
    memory: async () => {
      const kept: Buffer[] = [];
      while (kept.length * STEP < excess.memoryMiB << 20) {
        kept.push(Buffer.alloc(STEP, 1));
        // So that a watcher, where no cgroup holds it, has its chance.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return through(`${excess.memoryMiB} MiB were taken`);
    },
    pids: () => forks(excess.processes),
    tmp: () => fills(excess.tmpMiB),
    inodes: () => {
      const { files } = statfsSync(tmpdir());
      return files > 0 && files < 100e6 ? refused(`at most ${files} files`) : through('nothing bounds the number of files');
    },
    cpu: () => {
      const from = { wall: performance.now(), cpu: process.cpuUsage() };
      while (performance.now() - from.wall < CPU_MS);
      const { user, system } = process.cpuUsage(from.cpu);
      const share = (user + system) / 1_000 / (performance.now() - from.wall);
      const said = `${share.toFixed(2)} CPUs of ${excess.cpus}`;
      return share <= excess.cpus * CPU_TOLERANCE ? refused(said) : through(said);
    },
    descriptors: () => {
      const open: number[] = [];
      try {
        while (open.length < excess.descriptors) open.push(openSync('/dev/null', 'r'));
        return through(`${open.length} were opened`);
      } catch (error) {
        return refused(`${codeOf(error)} after ${open.length}`);
      } finally {
        for (const fd of open) closeSync(fd);
      }
    },
    endless: () => {
      for (;;);
    },
  };
}

async function forks(count: number): Promise<Outcome> {
  let made = 0;
  try {
    for (; made < count; made++) {
      const child = spawn('sleep', ['30'], { stdio: 'ignore' });
      child.on('error', () => {});
      if (child.pid === undefined) {
        const [error] = (await once(child, 'error')) as [Error];
        throw error;
      }
    }
    return through(`${made} were started`);
  } catch (error) {
    return refused(`${codeOf(error)} after ${made}`);
  }
}

function fills(mebibytes: number): Outcome {
  const file = join(tmpdir(), `virga-doctor-fill-${process.pid}`);
  const fd = openSync(file, 'wx');
  const piece = Buffer.alloc(1 << 20, 1);
  let written = 0;
  try {
    while (written < mebibytes << 20) {
      const bytes = writeSync(fd, piece);
      written += bytes;
      if (bytes < piece.length) return refused(`ENOSPC after ${written >> 20} MiB`);
    }
    return through(`${mebibytes} MiB were written`);
  } catch (error) {
    return refused(`${codeOf(error)} after ${written >> 20} MiB`);
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}
