// The pipes that become stdout and stderr of a program. Node's own `stdio: 'pipe'` is a pair of sockets, on which
// `echo … > /dev/stderr` and `tee /dev/stdout`, daily bread of shell scripts, fail with ENXIO. Node cannot make a pipe, but
// open one by its name: `mkfifo` makes two (2 ms, while the caller does other things), and their names are gone before the program
// runs. Where that fails the program gets sockets. Used by program.ts.
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';

export interface OutputPipe {
  /** The end that is read here. */
  reader: Socket;
  /** The end that the program gets; to be closed here once it has. */
  fd: number;
}

let count = 0;

/** Undefined: they cannot be had. */
export async function outputPipes(): Promise<[OutputPipe, OutputPipe] | undefined> {
  const names = [1, 2].map((fd) => `/tmp/.virga-${process.pid}-${++count}-${fd}`) as [string, string];
  try {
    if (!(await mkfifo(names))) return undefined;
    return [openPipe(names[0]), openPipe(names[1])];
  } catch {
    return undefined;
  } finally {
    for (const name of names) rmSync(name, { force: true });
  }
}

function mkfifo(names: string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('mkfifo', ['-m', '600', ...names], { stdio: 'ignore' });
    child.on('error', () => resolve(false));
    child.on('exit', (code) => resolve(code === 0));
  });
}

function openPipe(name: string): OutputPipe {
  // A writer that opens it would wait for a reader: so first that one, which does not wait for a writer.
  const read = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const fd = openSync(name, constants.O_WRONLY);
    return { reader: new Socket({ fd: read, readable: true, writable: false }), fd };
  } catch (error) {
    closeSync(read);
    throw error;
  }
}
