// A program that runs beside the guest, in the same sandbox: started once, its output as log records, its end awaited.
//
//   start ──▶ running ──stop(): SIGTERM, then SIGKILL──▶ ended
//                └──by itself──────────────────────────────▶ ended
//
// Invariant: what it wrote before it ended has been logged when `ended` resolves, and it does not outlive the guest.
// Used by the forms that start a program.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { LogLevelName } from '../../../../protocol/frames.ts';
import { LoadError } from '../../failure.ts';
import { OutputLines } from './output-lines.ts';
import { outputPipes } from './output-pipes.ts';

export interface ProgramOptions {
  /** The program and its arguments. */
  command: readonly [string, ...string[]];
  env: Record<string, string>;
  cwd: string;
  /** Of a program that is known to open neither /dev/stdout nor /dev/stderr: sockets will do, and start it 2 ms sooner. */
  sockets?: boolean;
  /** Called for each line that it writes: stdout is `info`, stderr `error`. */
  onLine: (level: LogLevelName, line: string) => void;
  /** Asked for ahead, by who has other things to do meanwhile. */
  pipes?: ReturnType<typeof outputPipes>;
}

export interface ProgramEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

const LAST_LINES = 10;
/** The host kills the sandbox 2 s after it has asked it to stop. */
const STOP_MS = 1_200;
/** A program that it left behind may hold its output open. */
const OUTPUT_END_MS = 100;

export class Program {
  readonly ended: Promise<ProgramEnd>;
  readonly #child: ChildProcess;
  readonly #lines: readonly [OutputLines, OutputLines];
  readonly #last: string[];

  /** Fails with a LoadError when it cannot be started. */
  static async start(options: ProgramOptions): Promise<Program> {
    const pipes = options.sockets === true ? undefined : await (options.pipes ?? outputPipes());
    const [file, ...args] = options.command;
    let child: ChildProcess;
    try {
      const [out, err] = pipes === undefined ? (['pipe', 'pipe'] as const) : [pipes[0].fd, pipes[1].fd];
      child = spawn(file, args, { cwd: options.cwd, env: options.env, stdio: ['ignore', out, err] });
    } finally {
      for (const { fd } of pipes ?? []) closeSync(fd);
    }
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error: NodeJS.ErrnoException) => {
        for (const { reader } of pipes ?? []) reader.destroy();
        reject(new LoadError(`'${file}' cannot be started: ${error.code ?? error.message}`));
      });
    });
    return new Program(child, pipes?.map(({ reader }) => reader) ?? [child.stdout!, child.stderr!], options.onLine);
  }

  private constructor(child: ChildProcess, output: Readable[], onLine: ProgramOptions['onLine']) {
    this.#child = child;
    this.#last = [];
    const record = (level: LogLevelName) => (line: string) => {
      if (this.#last.push(line) > LAST_LINES) this.#last.shift();
      onLine(level, line);
    };
    this.#lines = [new OutputLines(record('info')), new OutputLines(record('error'))];
    const closed = output.map((stream, index) => {
      stream.on('data', (chunk: Buffer) => this.#lines[index as 0 | 1].write(chunk));
      // An output that cannot be read further is at its end.
      stream.on('error', () => {});
      return new Promise((resolve) => stream.once('close', resolve));
    });
    // Errors after the start are those of a signal that could not be sent: it is gone.
    child.on('error', () => {});
    const kill = (): unknown => child.kill('SIGKILL');
    process.once('exit', kill);
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        process.removeListener('exit', kill);
        let late: NodeJS.Timeout;
        const patience = new Promise((done) => (late = setTimeout(done, OUTPUT_END_MS)));
        void Promise.race([Promise.all(closed), patience]).then(() => {
          clearTimeout(late);
          this.endLines();
          resolve({ code, signal });
        });
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it wrote last, for whoever must explain its end. */
  get lastLines(): string {
    return this.#last.join('\n');
  }

  /** Lines that it has begun are complete. */
  endLines(): void {
    for (const lines of this.#lines) lines.end();
  }

  /** SIGTERM, some time, SIGKILL. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.ended;
    clearTimeout(late);
  }
}

/** e.g. `exited with code 1`, `was ended by SIGSEGV`. */
export function howItEnded({ code, signal }: ProgramEnd): string {
  return signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
}

/** As a shell tells it. */
export function exitCodeOf({ code, signal }: ProgramEnd): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}
