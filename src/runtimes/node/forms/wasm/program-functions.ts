// WASI's functions for what a program is started with, for randomness, for its end, and for sockets, of which it has none.
// Called through imports.ts.
import { openSync, readSync } from 'node:fs';
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { Errno } from './codes.ts';
import { Exit } from './ends.ts';
import type { WasiTable } from './fd-functions.ts';
import type { Run } from './run.ts';
import type { Strings } from './words.ts';

/** What a shell reports of a process that ended by a signal. */
const SIGNAL_EXIT_BASE = 128;

/** The kernel's own source: naming `crypto` makes Node load it for some ms, in each cold start of a program with a hash map. */
let random: number | undefined;

export const PROGRAM_FUNCTIONS: WasiTable<
  Extract<WasiFunction, `args_${string}` | `environ_${string}` | `proc_${string}` | `sock_${string}` | 'random_get'>
> = {
  args_sizes_get: (run, countAt: number, bytesAt: number) => tellSizes(run, run.words.args, countAt, bytesAt),
  args_get: (run, pointersAt: number, at: number) => copyStrings(run, run.words.args, pointersAt, at),
  environ_sizes_get: (run, countAt: number, bytesAt: number) => tellSizes(run, run.words.environment, countAt, bytesAt),
  environ_get: (run, pointersAt: number, at: number) => copyStrings(run, run.words.environment, pointersAt, at),
  random_get({ memory }, at: number, length: number) {
    random ??= openSync('/dev/urandom', 'r');
    const into = memory.bytes(at, length);
    for (let done = 0; done < into.length;) done += readSync(random, into, done, into.length - done, null);
    return Errno.success;
  },
  proc_exit(_run, code: number) {
    throw new Exit(code >>> 0);
  },
  proc_raise(_run, signal: number) {
    throw new Exit(SIGNAL_EXIT_BASE + signal);
  },
  sock_accept: () => Errno.notSocket,
  sock_recv: () => Errno.notSocket,
  sock_send: () => Errno.notSocket,
  sock_shutdown: () => Errno.notSocket,
};

function tellSizes({ memory }: Run, strings: Strings, countAt: number, bytesAt: number): number {
  memory.u32(countAt, strings.offsets.length);
  memory.u32(bytesAt, strings.bytes.length);
  return Errno.success;
}

function copyStrings({ memory }: Run, { bytes, offsets }: Strings, pointersAt: number, at: number): number {
  memory.bytes(at, bytes.length).set(bytes);
  for (const [i, offset] of offsets.entries()) memory.u32(pointersAt + i * 4, at + offset);
  return Errno.success;
}
