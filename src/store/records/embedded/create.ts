// Creates the embedded cluster (initdb). Invariant: the folder appears whole or not at all: initdb works in `<folder>.new`,
// flushes it to disk itself, and only then is it renamed; what a crash leaves of an attempt is removed by the next.
// `initdb --no-sync` would save 0.09 of 0.58 s here, and lose the database if the machine stopped in its first seconds.
// Called by embedded.ts.
import { spawn } from 'node:child_process';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { VirgaError } from '../../../protocol/errors.ts';
import type { PostgresBinaries } from './binaries.ts';
import { handOver, killHolders, LOCK_BUSY } from './walls.ts';
import type { Walls } from './walls.ts';

const OUTPUT_MAX = 16_384;
const TIMEOUT_MS = 120_000;

export async function createCluster(
  cluster: string,
  {
    binaries,
    walls,
    sync,
    lockFile,
    socketFolder,
  }: { binaries: PostgresBinaries; walls: Walls; sync: boolean; lockFile: string; socketFolder: string },
): Promise<void> {
  const attempt = `${cluster}.new`;
  await rm(attempt, { recursive: true, force: true });
  await mkdir(attempt, { mode: 0o700 });
  if (walls.kind === 'direct') await handOver({ cluster: attempt, sockets: socketFolder });
  const args = ['-D', attempt, '-U', 'virga', '-A', 'trust', '-E', 'UTF8', ...localeFor(binaries.major), '--no-instructions'];
  if (binaries.major < 18) args.push('--data-checksums'); // from 18 on by default
  if (!sync) args.push('--no-sync');
  const { command, args: all } = walls.command(join(binaries.folder, 'initdb'), args, { writable: [attempt] });
  let { code, output } = await run(command, all);
  if (code === LOCK_BUSY) {
    await killHolders(lockFile);
    ({ code, output } = await run(command, all));
  }
  if (code !== 0) {
    await rm(attempt, { recursive: true, force: true });
    if (/No space left on device/.test(output))
      throw new VirgaError(
        'disk_full',
        `the database could not be created in ${cluster}: the disk is full. Free some space, then start again`,
      );
    throw new VirgaError('unavailable', `the database could not be created in ${cluster}: initdb ended with ${code}: ${lastLines(output)}`);
  }
  await rename(attempt, cluster);
  if (sync) await flushFolder(dirname(cluster));
}

/** Sorted by code point, with Unicode's upper and lower case where that needs no locale of the system. */
function localeFor(major: number): string[] {
  return major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'] : ['--locale=C'];
}

function run(command: string, args: string[]): Promise<{ code: number | string; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL', detached: true });
    let output = '';
    const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-OUTPUT_MAX));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => resolve({ code: error.message, output }));
    child.on('close', (code, signal) => resolve({ code: code ?? signal ?? 'nothing', output }));
  });
}

/** The end of what a program said, on one line. */
export function lastLines(output: string): string {
  return output.trim().split('\n').slice(-3).join(' / ').slice(-1_000) || 'it said nothing';
}

async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
