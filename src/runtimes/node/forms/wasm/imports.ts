// The functions that an instance of a program imports, for one run. Invariants: what goes wrong in one is an error code for
// the program, never an exception of ours; a run that has ended ends again at the next call, whatever the program caught.
// Called by program.ts.
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { wasmApi } from '../../../../protocol/wasm.ts';
import { Errno, errnoOf } from './codes.ts';
import { Refusal } from './descriptors.ts';
import { Abandoned, Exit } from './ends.ts';
import { fdFunctions } from './fd-functions.ts';
import type { WasiImport, WasiTable } from './fd-functions.ts';
import { pathFunctions } from './path-functions.ts';
import { programFunctions } from './program-functions.ts';
import type { Run } from './run.ts';
import { timeFunctions } from './time-functions.ts';

/** Those that may answer with a promise. */
const SUSPENDING: ReadonlySet<WasiFunction> = new Set<WasiFunction>(['fd_read', 'fd_write', 'poll_oneoff', 'sched_yield']);

/** Only `wanted`, since making one costs more than calling it. */
export function wasiImports(run: Run, wanted: readonly WasiFunction[]): Record<string, unknown> {
  const table: WasiTable<WasiFunction> = { ...fdFunctions(run), ...pathFunctions(run), ...timeFunctions(run), ...programFunctions(run) };
  const { Suspending } = wasmApi();
  return Object.fromEntries(
    wanted.map((name) => {
      const guarded = guard(run, table[name]);
      return [name, SUSPENDING.has(name) ? new Suspending(guarded) : guarded];
    }),
  );
}

function guard(run: Run, call: WasiImport): (...args: never[]) => unknown {
  const refuse = (error: unknown): number => {
    if (error instanceof Refusal) return error.errno;
    // A DataView, or memory.ts.
    if (error instanceof RangeError) return Errno.fault;
    if (error instanceof Exit || error instanceof Abandoned || run.fatal === error) throw (run.fatal = error);
    const code: unknown = (error as NodeJS.ErrnoException | undefined)?.code;
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return errnoOf(error);
    throw (run.fatal = error);
  };
  return (...args) => {
    run.check();
    try {
      const result = call(...args);
      return typeof result === 'object' ? result.catch(refuse) : result;
    } catch (error) {
      return refuse(error);
    }
  };
}
