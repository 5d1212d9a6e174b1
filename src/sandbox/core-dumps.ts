// No core dumps of sandboxes: a dump would write a function's memory (and what it chooses to put there) to the host, or feed it
// to the program in core_pattern, which the kernel starts as root outside of all walls.
// Invariant: once this has resolved, nothing started by this process can dump; inside, the filter keeps the limit as it is
// (system-calls/seccomp-rules.ts). Of 1 byte, not 0: the kernel starts the program of core_pattern for 0 as well, and for 1 never.
// PR_SET_DUMPABLE would not do, since exec sets it back. On the launcher, once, it costs no start anything; prlimit in front
// of each guest would cost 1 ms. Callers: bubblewrap/, oci/.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const TIMEOUT_MS = 5_000;

/** Fails with the words of prlimit (of util-linux). */
export async function forbidCoreDumps(): Promise<void> {
  await promisify(execFile)('prlimit', ['--pid', String(process.pid), '--core=1:1'], { timeout: TIMEOUT_MS });
}
