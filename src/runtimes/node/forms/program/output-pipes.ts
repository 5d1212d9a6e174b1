// The pipes that become stdout and stderr of a program. Node's own `stdio: 'pipe'` is a pair of sockets, on which
// `echo … > /dev/stderr` and `tee /dev/stdout`, daily bread of shell scripts, fail with ENXIO. Node cannot make a pipe, but
// open one by its name: `mkfifo` makes two, and their names are gone before the program runs. That is a process of its own, so a
// blank has it done ahead (`prepareOutputPipes`). Where it fails the program gets sockets.
//
//   none ──prepare──▶ ahead ──outputPipes()──▶ the program's
//                       └──dropOutputPipes()──▶ none: the blank became something else
//
// Invariant: no pipe is left open by a guest that starts no program. Used by program.ts, and by the forms that start one.
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';

export interface OutputPipe {
  /** The end that is read here. */
  reader: Socket;
  /** The end that the program gets; to be closed here once it has. */
  fd: number;
}

interface Ends {
  read: number;
  write: number;
}

let count = 0;
let ahead: Promise<[Ends, Ends] | undefined> | undefined;

export function prepareOutputPipes(): void {
  ahead ??= makePipes();
}

/** Nobody will want those that were prepared. */
export function dropOutputPipes(): void {
  const dropped = ahead;
  ahead = undefined;
  void dropped?.then((pipes) => pipes?.forEach(closeEnds));
}

/** Undefined: they cannot be had. */
export async function outputPipes(): Promise<[OutputPipe, OutputPipe] | undefined> {
  const taken = ahead ?? makePipes();
  ahead = undefined;
  const pipes = await taken;
  return pipes === undefined ? undefined : [outputPipe(pipes[0]), outputPipe(pipes[1])];
}

async function makePipes(): Promise<[Ends, Ends] | undefined> {
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

function openPipe(name: string): Ends {
  // A writer that opens it would wait for a reader: so first that one, which does not wait for a writer.
  const read = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return { read, write: openSync(name, constants.O_WRONLY) };
  } catch (error) {
    closeSync(read);
    throw error;
  }
}

function outputPipe({ read, write }: Ends): OutputPipe {
  return { reader: new Socket({ fd: read, readable: true, writable: false }), fd: write };
}

function closeEnds({ read, write }: Ends): void {
  closeSync(read);
  closeSync(write);
}
