// One running embedded Postgres: starts it inside its walls, says when it accepts connections, passes on what it logs,
// stops it. Invariants: it dies with this process; `exited` resolves when its main process has gone; a start that fails
// says why in words that name the remedy, and leaves nothing running. Restarting is the caller's (server/postgres.ts).
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { LineSplitter } from '../../../lib/lines.ts';
import { VirgaError } from '../../../protocol/errors.ts';
import type { PostgresBinaries } from './binaries.ts';
import { lastLines } from './create.ts';
import { settingsFor } from './settings.ts';
import { killHolders, LOCK_BUSY } from './walls.ts';
import type { Walls } from './walls.ts';

export interface ServerOptions {
  cluster: string;
  /** The file whose lock every process of the server holds. */
  lockFile: string;
  socketFolder: string;
  binaries: PostgresBinaries;
  walls: Walls;
  /** false only in tests: the database need not survive the machine. */
  fsync: boolean;
  /** `severity`: WARNING, ERROR, LOG, FATAL, PANIC, …; bounded by what Postgres logs at these settings. */
  onLog: (severity: string, text: string) => void;
  /** Crash recovery may take a while; after this long the start is given up. */
  readyTimeoutMs?: number;
}

export interface PostgresExit {
  code: number | null;
  signal: string | null;
}

const READY = 'database system is ready to accept connections';
const READY_TIMEOUT_MS = 300_000;
/** How long each way of asking it to stop gets: fast (rolls back, writes out), immediate, kill. */
const FAST_MS = 10_000;
const IMMEDIATE_MS = 2_000;
const LAST_WORDS_MS = 500;
const TAIL_LINES = 20;

export class PostgresServer {
  readonly exited: Promise<PostgresExit>;
  readonly #child: ChildProcess;
  #pid: number;

  private constructor(child: ChildProcess, exited: Promise<PostgresExit>, pid: number) {
    this.#child = child;
    this.exited = exited;
    this.#pid = pid;
  }

  static async start(options: ServerOptions): Promise<PostgresServer> {
    try {
      return await PostgresServer.#startOnce(options);
    } catch (error) {
      if (!(error instanceof LockHeld)) throw error;
      // Of an earlier Virga that was killed at a moment when its orders to die got lost. The data folder is locked by us,
      // so whoever holds the cluster is a leftover.
      const killed = await killHolders(options.lockFile);
      options.onLog('WARNING', `killed what was left of an earlier Postgres: ${killed.join(', ') || 'nothing found'}`);
      return await PostgresServer.#startOnce(options);
    }
  }

  static async #startOnce(options: ServerOptions): Promise<PostgresServer> {
    const { binaries, walls, cluster, socketFolder } = options;
    const settings = settingsFor({ major: binaries.major, socketFolder, fsync: options.fsync });
    const { command, args } = walls.command(join(binaries.folder, 'postgres'), ['-D', cluster, ...settings], {
      writable: [cluster, socketFolder],
      pidFd: 3,
    });
    // A session of its own: Ctrl-C in the terminal is for the supervisor, which stops Postgres last.
    const child = spawn(command, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      detached: true,
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    });
    const ready = Promise.withResolvers<void>();
    const tail: string[] = [];
    const splitter = new LineSplitter(
      (line) => {
        tail.push(line);
        if (tail.length > TAIL_LINES) tail.shift();
        const { severity, text } = parse(line);
        if (text === READY) ready.resolve();
        else options.onLog(severity, text);
      },
      { lineBytesMax: 8_192 },
    );
    child.stderr!.on('data', (chunk: Buffer) => splitter.push(chunk));
    child.stderr!.on('end', () => splitter.end());
    const inside = walls.kind === 'bubblewrap' ? toldPid(child.stdio[3] as Readable) : undefined;
    if (inside === undefined) (child.stdio[3] as Readable).destroy();
    const exited = new Promise<PostgresExit>((resolve) => {
      child.on('error', (error) => {
        tail.push(error.message);
        resolve({ code: null, signal: null });
      });
      // 'close' follows 'exit' when its last words have been read; unless something that it started still holds the pipe.
      child.on('exit', (code, signal) => void setTimeout(resolve, LAST_WORDS_MS, { code, signal }).unref());
      child.on('close', (code, signal) => resolve({ code, signal }));
    });
    const timer = setTimeout(() => ready.reject(new Error('timeout')), options.readyTimeoutMs ?? READY_TIMEOUT_MS);
    const ended = exited.then((exit) => {
      throw startFailure(exit, tail.join('\n'), options);
    });
    ended.catch(() => {});
    try {
      await Promise.race([ready.promise, ended]);
      return new PostgresServer(child, exited, (await inside) ?? child.pid!);
    } catch (error) {
      child.kill('SIGKILL');
      if ((error as Error).message !== 'timeout') throw error;
      throw new VirgaError(
        'unavailable',
        `Postgres did not accept connections within ${(options.readyTimeoutMs ?? READY_TIMEOUT_MS) / 1_000} s: ${lastLines(tail.join('\n'))}`,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Process id of the server itself, as this process sees it. */
  get pid(): number {
    return this.#pid;
  }

  /** Rolls back what runs, writes everything out, ends. Harder when it does not. Resolves when it is gone. */
  async stop(): Promise<void> {
    for (const [signal, patienceMs] of [
      ['SIGINT', FAST_MS],
      ['SIGQUIT', IMMEDIATE_MS],
    ] as const) {
      this.#signal(signal);
      if (await this.#goneWithin(patienceMs)) return;
    }
    this.kill();
    await this.exited;
  }

  /** At once, as in a crash: the next start recovers from the write-ahead log. */
  kill(): void {
    this.#signal('SIGKILL');
    // In a pid namespace of its own, the end of the outer process ends all of it.
    this.#child.kill('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    // Once its parent (bwrap or ourselves) has collected it, the number may belong to somebody else.
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      process.kill(this.#pid, signal);
    } catch {
      // it has just ended
    }
  }

  async #goneWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
    const gone = await Promise.race([this.exited.then(() => true), late]);
    clearTimeout(timer);
    return gone;
  }
}

class LockHeld extends Error {}

function startFailure(exit: PostgresExit, said: string, { cluster, binaries }: ServerOptions): Error {
  if (exit.code === LOCK_BUSY) return new LockHeld(`another Postgres holds ${cluster}`);
  if (/No space left on device/.test(said)) {
    return new VirgaError('disk_full', `Postgres cannot start: the disk with ${cluster} is full. Free some space; nothing is lost`);
  }
  return new VirgaError(
    'unavailable',
    `Postgres ${binaries.version} (${binaries.folder}) ended with ${exit.code ?? exit.signal ?? 'an error'} before it was ready: ${lastLines(said)}`,
  );
}

/** `LOG:  text` → severity and text. Lines that do not look so are the shell's or bubblewrap's. */
function parse(line: string): { severity: string; text: string } {
  const match = /^([A-Z]+):\s+(.*)$/s.exec(line);
  return match === null ? { severity: 'WARNING', text: line } : { severity: match[1]!, text: match[2]! };
}

/**
 * bubblewrap writes {"child-pid": N, …} in several pieces once the process exists. Read to the end: a pipe that is closed
 * in between kills it half way, and the child that it has made waits for ever.
 */
async function toldPid(pipe: Readable): Promise<number | undefined> {
  let text = '';
  try {
    for await (const chunk of pipe) text += String(chunk);
  } catch {
    // it ended; `exited` tells
  }
  const pid = /"child-pid":\s*(\d+)/.exec(text)?.[1];
  return pid === undefined ? undefined : Number(pid);
}
