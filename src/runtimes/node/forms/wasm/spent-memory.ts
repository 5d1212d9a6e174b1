// The memories of instances that have ended. V8 lets go of them when it collects garbage, and it collects by what the heap of
// JavaScript holds, which is little: in a sandbox of 64 MiB every third call of a program that took 16 MiB was killed.
// Invariant: when a run begins, at most a part of the sandbox's memory is held by runs before it. Used by program.ts.
//
// A collection takes 3 to 10 ms, after an answer has left and not in a call. Node shows `gc` only to a context that was made
// after `--expose-gc` was set; that takes 2 ms, at the first need.

/** Of the sandbox's memory. */
const SPENT_PART = 8;
const MIB = 1024 * 1024;

export class SpentMemory {
  readonly #bytesMax: number;
  /** Told when V8 has let go of one by itself. */
  readonly #collected = new FinalizationRegistry<number>((bytes) => (this.#bytes -= bytes));
  #bytes = 0;
  #scheduled = false;
  #collect: (() => void) | undefined;

  constructor(memoryMiB: number) {
    this.#bytesMax = (memoryMiB * MIB) / SPENT_PART;
  }

  /** The run that this memory was of is over, and nothing but garbage refers to it. */
  add(memory: { readonly buffer: ArrayBuffer }): void {
    const bytes = memory.buffer.byteLength;
    this.#collected.register(memory, bytes);
    this.#bytes += bytes;
    if (this.#bytes <= this.#bytesMax || this.#scheduled) return;
    this.#scheduled = true;
    // The answer leaves first.
    setImmediate(() => {
      this.#scheduled = false;
      this.#collect ??= collector();
      this.#collect();
    });
  }
}

function collector(): () => void {
  process.getBuiltinModule('node:v8').setFlagsFromString('--expose-gc');
  return process.getBuiltinModule('node:vm').runInNewContext('gc') as () => void;
}
