// The functions that an instance of a program imports, for one run. Invariants: what goes wrong in one is an error code for
// the program, never an exception of ours; a run that has ended ends again at the next call, whatever the program caught.
// Called by program.ts.
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { wasmApi } from '../../../../protocol/wasm.ts';
import { Errno, errnoOf } from './codes.ts';
import { Refusal } from './descriptors.ts';
import { Abandoned, Exit } from './ends.ts';
import { FD_FUNCTIONS } from './fd-functions.ts';
import type { WasiCall, WasiTable } from './fd-functions.ts';
import { PATH_FUNCTIONS } from './path-functions.ts';
import { PROGRAM_FUNCTIONS } from './program-functions.ts';
import type { Run } from './run.ts';
import { TIME_FUNCTIONS } from './time-functions.ts';

/** Those that may answer with a promise. */
const SUSPENDING: ReadonlySet<WasiFunction> = new Set<WasiFunction>(['fd_read', 'fd_write', 'poll_oneoff', 'sched_yield']);

const TABLE: WasiTable<WasiFunction> = { ...FD_FUNCTIONS, ...PATH_FUNCTIONS, ...TIME_FUNCTIONS, ...PROGRAM_FUNCTIONS };

/** Only `wanted`: there are 46, and most programs import ten. */
export function wasiImports(run: Run, wanted: readonly WasiFunction[]): Record<string, unknown> {
  const imports: Record<string, unknown> = {};
  for (const name of wanted) {
    const guarded = guard(run, TABLE[name]);
    imports[name] = SUSPENDING.has(name) ? new (wasmApi().Suspending)(guarded) : guarded;
  }
  return imports;
}

/** path_open has the most parameters, nine; named ones spare each call an array. */
type Given = never;
type Guarded = (a: Given, b: Given, c: Given, d: Given, e: Given, f: Given, g: Given, h: Given, i: Given) => unknown;

function guard(run: Run, call: WasiCall): Guarded {
  return (a, b, c, d, e, f, g, h, i) => {
    run.check();
    try {
      const result = call(run, a, b, c, d, e, f, g, h, i);
      return typeof result === 'number' ? result : result.catch((error: unknown) => refusal(run, error));
    } catch (error) {
      return refusal(run, error);
    }
  };
}

/** The code of an error that is the program's to deal with; any other ends the run. */
function refusal(run: Run, error: unknown): number {
  if (error instanceof Refusal) return error.errno;
  // A DataView, or memory.ts.
  if (error instanceof RangeError) return Errno.fault;
  if (!(error instanceof Exit || error instanceof Abandoned || run.fatal === error)) {
    const code: unknown = (error as NodeJS.ErrnoException | undefined)?.code;
    if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return errnoOf(error);
  }
  throw (run.fatal = error);
}
