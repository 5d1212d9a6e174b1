// Processes that a benchmark starts: each in a process group of its own, so that it goes with all its children; all that
// still run are killed when the benchmark ends, however it ends. Callers: contenders.ts, virga.ts, cold.ts.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Started {
  child: ChildProcess;
  stop(): Promise<void>;
  /** Its last 4 KiB of output. */
  said(): string;
}

const running = new Set<ChildProcess>();

export interface StartOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** What it does at SIGTERM; after so many ms it is killed. */
  stopMs?: number;
}

export function start(command: string, args: string[], options: StartOptions = {}): Started {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let tail = '';
  const keep = (chunk: Buffer) => {
    tail = (tail + chunk.toString()).slice(-4096);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.on('error', keep as unknown as (error: Error) => void);
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      running.delete(child);
      resolve();
    });
    child.once('error', () => resolve());
  });
  const stop = async () => {
    signal(child, 'SIGTERM');
    await Promise.race([ended, sleep(options.stopMs ?? 5_000, undefined, { ref: false })]);
    signal(child, 'SIGKILL');
    await ended;
  };
  return { child, stop, said: () => tail };
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, name);
  } catch {
    // the whole group is gone
  }
}

function killAll(): void {
  for (const child of running) signal(child, 'SIGKILL');
}
process.once('exit', killAll);
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(1));

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

/** Resolves at the first moment when something accepts connections on the port, looked for once a ms. */
export async function listening(port: number, started: Started, limitMs = 30_000): Promise<void> {
  const untilMs = performance.now() + limitMs;
  while (performance.now() < untilMs) {
    if (started.child.exitCode !== null) throw new Error(`it ended with code ${started.child.exitCode}: ${started.said()}`);
    if (await accepts(port)) return;
    await sleep(1);
  }
  throw new Error(`nothing listens on port ${port} after ${limitMs} ms: ${started.said()}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
