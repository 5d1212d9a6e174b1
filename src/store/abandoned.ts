// Removes what a killed process left half-written. Files and folders that are not complete yet carry their writer's pid:
// `<pid>-…` or `.<word>-<pid>-…`. Invariant: nothing of a process that lives is touched, so control and launcher may
// write to the same folder. Caller: server/launcher.ts, before it says ready.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const UNFINISHED = /^(?:\.[a-z]+-)?(\d+)-/;

/** Answers how many were removed. A folder that does not exist is empty. */
export async function removeAbandoned(folder: string): Promise<number> {
  let removed = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = UNFINISHED.exec(name)?.[1];
    if (pid === undefined || lives(Number(pid))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
    removed++;
  }
  return removed;
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
