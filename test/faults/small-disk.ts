// A small disk of its own for a test, and how to fill it. Mounting needs root.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../system/virga.ts';

/** Why a test with a small disk is skipped, or false. */
export const needsRoot = process.getuid?.() === 0 ? false : 'mounting a small disk needs root';

/** A file system of `mib` MiB in a temporary folder. */
export async function mountDisk(mib: number): Promise<string> {
  const disk = await temporaryFolder('virga-disk-');
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', disk]);
  return disk;
}

export async function unmountDisk(disk: string): Promise<void> {
  execFileSync('umount', [disk]);
  await rm(disk, { recursive: true, force: true });
}

/** Writes until there is no room for another block. What it returns makes room again. */
export function fill(disk: string): () => void {
  const file = join(disk, 'filler');
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(1024 * 1024);
  for (let size = block.length; size >= 512;) {
    try {
      writeSync(fd, block, 0, size);
    } catch {
      size /= 2;
    }
  }
  closeSync(fd);
  return () => rmSync(file);
}
