// One run of a program: what it is given, what it has open, where its answer goes, and how it ended. Invariant: nothing of it
// outlives the run. Made by program.ts; the tables of functions read it.
import { realpathSync } from 'node:fs';
import type { Answer } from '../../answer.ts';
import { Descriptors } from './descriptors.ts';
import type { Stream } from './descriptors.ts';
import { Abandoned } from './ends.ts';
import type { ProgramMemory } from './memory.ts';
import type { ProgramOutput } from './output.ts';

/** Where bytes come from: the next ones, a promise of them, or undefined at the end. */
export interface ByteSource {
  take(): Buffer | undefined | Promise<Buffer | undefined>;
}

/** The same for all runs of a program. */
export interface Surroundings {
  /** Appears as `/`, and cannot be written. */
  codeFolder: string;
  /** Appears as `/tmp`. */
  temporaryFolder: string;
}

export interface RunOptions {
  /** `name=value` and arguments, each with its NUL. */
  args: readonly Buffer[];
  environment: readonly Buffer[];
  input: ByteSource;
  output: ProgramOutput;
  /** Lines of stderr. */
  log: (chunk: Buffer) => void;
  answer: Answer;
}

const NOTHING = Buffer.alloc(0);

export class Run {
  readonly args: readonly Buffer[];
  readonly environment: readonly Buffer[];
  readonly descriptors = new Descriptors();
  readonly memory: ProgramMemory;
  /** Why it ended, or has to. */
  fatal: unknown;
  readonly #answer: Answer;
  readonly #output: ProgramOutput;
  readonly #waits = new Set<(reason: Abandoned) => void>();

  constructor(memory: ProgramMemory, { codeFolder, temporaryFolder }: Surroundings, options: RunOptions) {
    this.memory = memory;
    this.args = options.args;
    this.environment = options.environment;
    this.#answer = options.answer;
    this.#output = options.output;
    options.answer.onCancel = () => {
      for (const leave of this.#waits) leave(new Abandoned());
    };
    this.descriptors.set(0, this.#standardInput(options.input));
    this.descriptors.set(1, { kind: 'stream', write: (from) => this.#write(from) });
    this.descriptors.set(2, {
      kind: 'stream',
      write: (from) => {
        for (const chunk of from) options.log(chunk);
        return total(from);
      },
    });
    this.descriptors.set(3, { kind: 'folder', root: codeFolder, path: codeFolder, writable: false, name: '/' });
    this.descriptors.set(4, { kind: 'folder', root: temporaryFolder, path: temporaryFolder, writable: true, name: '/tmp' });
  }

  /** Ends a program whose answer nobody wants, at its next call. */
  check(): void {
    if (this.fatal !== undefined) throw this.fatal;
    if (this.#answer.closed) throw (this.fatal = new Abandoned());
  }

  /** The program waits: what it has written goes out meanwhile. */
  async suspend<T>(until: Promise<T>): Promise<T> {
    const { promise: left, reject } = Promise.withResolvers<never>();
    this.#waits.add(reject);
    try {
      return await Promise.race([this.#flushed(until), left]);
    } finally {
      this.#waits.delete(reject);
    }
  }

  async #flushed<T>(until: Promise<T>): Promise<T> {
    const [value] = await Promise.all([until, this.#output.flush()]);
    return value;
  }

  #standardInput(input: ByteSource): Stream {
    let rest: Buffer = NOTHING;
    let ended = false;
    let filling: Promise<void> | undefined;
    /** Sees to it that there is something to read; a promise when that takes time. */
    const fill = (): Promise<void> | undefined => {
      if (filling !== undefined || ended || rest.length > 0) return filling;
      const keep = (chunk: Buffer | undefined): void => {
        filling = undefined;
        ended = chunk === undefined;
        rest = chunk ?? NOTHING;
      };
      const next = input.take();
      if (!(next instanceof Promise)) {
        keep(next);
        return undefined;
      }
      return (filling = this.suspend(next).then(keep));
    };
    const read = (into: Buffer[]): number => {
      let count = 0;
      for (const buffer of into) {
        const copied = rest.copy(buffer);
        rest = rest.subarray(copied);
        count += copied;
      }
      return count;
    };
    return {
      kind: 'stream',
      read: (into) => {
        const wait = total(into) === 0 ? undefined : fill();
        return wait === undefined ? read(into) : wait.then(() => read(into));
      },
      wait: fill,
    };
  }

  #write(from: Buffer[]): number | Promise<number> {
    const bytes = total(from);
    const wait = this.#output.write(from);
    return wait === undefined ? bytes : wait.then(() => bytes);
  }
}

export function surroundingsOf(codeFolder: string): Surroundings {
  return { codeFolder: realpathSync(codeFolder), temporaryFolder: realpathSync(process.env['TMPDIR'] ?? '/tmp') };
}

function total(buffers: Buffer[]): number {
  return buffers.reduce((sum, one) => sum + one.length, 0);
}
