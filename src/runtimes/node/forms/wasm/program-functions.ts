// WASI's functions for what a program is started with, for randomness, for its end, and for sockets, of which it has none.
// One table for each run, made by imports.ts.
import { openSync, readSync } from 'node:fs';
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { Errno } from './codes.ts';
import { Exit } from './ends.ts';
import type { WasiTable } from './fd-functions.ts';
import type { Run } from './run.ts';

type ProgramFunction = Extract<WasiFunction, `args_${string}` | `environ_${string}` | `proc_${string}` | `sock_${string}` | 'random_get'>;

/** What a shell reports of a process that ended by a signal. */
const SIGNAL_EXIT_BASE = 128;

/** The kernel's own source: naming `crypto` makes Node load it for some ms, in each cold start of a program with a hash map. */
let random: number | undefined;

export function programFunctions(run: Run): WasiTable<ProgramFunction> {
  const { memory, args, environment } = run;
  const sizes = (strings: readonly Buffer[]) => (countAt: number, bytesAt: number) => {
    memory.u32(countAt, strings.length);
    memory.u32(
      bytesAt,
      strings.reduce((sum, one) => sum + one.length, 0),
    );
    return Errno.success;
  };
  const copy = (strings: readonly Buffer[]) => (pointersAt: number, at: number) => {
    let to = at >>> 0;
    for (const [i, one] of strings.entries()) {
      memory.u32(pointersAt + i * 4, to);
      memory.bytes(to, one.length).set(one);
      to += one.length;
    }
    return Errno.success;
  };
  const noSocket = () => Errno.notSocket;
  return {
    args_sizes_get: sizes(args),
    args_get: copy(args),
    environ_sizes_get: sizes(environment),
    environ_get: copy(environment),
    random_get: (at: number, length: number) => {
      random ??= openSync('/dev/urandom', 'r');
      const into = memory.bytes(at, length);
      for (let done = 0; done < into.length;) done += readSync(random, into, done, into.length - done, null);
      return Errno.success;
    },
    proc_exit: (code: number) => {
      throw new Exit(code >>> 0);
    },
    proc_raise: (signal: number) => {
      throw new Exit(SIGNAL_EXIT_BASE + signal);
    },
    sock_accept: noSocket,
    sock_recv: noSocket,
    sock_send: noSocket,
    sock_shutdown: noSocket,
  };
}
