// The bootstrap of bootstrap.c as a program, built by the machine's own C compiler. Invariant: nothing of the build is left in the
// repository. Caller: forms.ts.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Undefined: there is no compiler here. */
export async function compiledBootstrap(): Promise<Buffer | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'virga-bench-cc-'));
  const program = join(folder, 'bootstrap');
  try {
    await promisify(execFile)('cc', ['-O2', '-Wall', '-Werror', '-o', program, join(import.meta.dirname, 'bootstrap.c')]);
    return await readFile(program);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}
