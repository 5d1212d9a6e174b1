// Runs the Python of this machine for builds. Invariant: what it prints is kept only up to a bound, and it is ended with
// its time. Used by python.ts and pip.ts.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

export interface PythonRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

const OUTPUT_CHARACTERS_MAX = 64 * 1024;
/** The runtime python3 is the system's Python: packages are chosen for that one where it is here. */
const SYSTEM_PYTHON = '/usr/bin/python3';

/** The Python to build for: the system's, else the first on the PATH; undefined: `python3` of the PATH is all there is to try. */
export function pythonOf(): string | undefined {
  try {
    accessSync(SYSTEM_PYTHON, constants.X_OK);
    return SYSTEM_PYTHON;
  } catch {
    return undefined;
  }
}

export async function runPython(python: string, args: readonly string[], options: { timeoutMs: number; cwd?: string }): Promise<PythonRun> {
  const { promise, resolve } = Promise.withResolvers<PythonRun>();
  const child = spawn(python, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    cwd: options.cwd,
  });
  const run: PythonRun = { code: null, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (run[name] = (run[name] + text).slice(-OUTPUT_CHARACTERS_MAX)));
  }
  child.once('error', (error) => resolve({ ...run, stderr: `${python} cannot be started: ${error.message}` }));
  child.once('close', (code) => resolve({ ...run, code }));
  return await promise;
}
