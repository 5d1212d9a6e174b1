// The forms that this guest knows: adapters between code that was written for something else and the frames of the engine.
// Each is a chunk of its own beside guest.cjs, loaded when a function of that form is, so that no other function waits for it.
// Invariant: a form loads the code, or fails with an error that names what is missing, and serves by the same invocations,
// answers and logs as every function. Called by guest.ts.
import type { InitPayload } from '../../../protocol/frames.ts';
import { LoadError } from '../failure.ts';
import type { Loaded } from '../load.ts';
import type { LogRecords } from '../log-records.ts';
import type { PeakMemory } from '../peak-memory.ts';

/** What a form gets of the guest. */
export interface FormHost {
  log: LogRecords;
  /** Of the guest; a program beside it is to be counted too. */
  memory: PeakMemory;
  /** fd 3, which keeps the process alive unless it is told not to. */
  channel: { ref(): void; unref(): void };
  /** PATH as the sandbox was booted with: where the runtimes are. The function's own is another. */
  path: string;
}

export interface Form {
  load(init: InitPayload, host: FormHost): Promise<Loaded>;
}

const FORMS: Record<string, () => Promise<Form>> = {
  provided: () => import('./provided/provided.ts'),
  lambda: () => import('./lambda/lambda.ts'),
  web: () => import('./web/web.ts'),
  bun: () => import('./web/web.ts'),
  deno: () => import('./web/web.ts'),
  wasm: () => import('./wasm/wasm.ts'),
  azure: () => import('./azure/azure.ts'),
  google: () => import('./google/google.ts'),
};

export async function formOf(name: string): Promise<Form> {
  const form = FORMS[name];
  if (form === undefined)
    throw new LoadError(`this runtime runs no code of the form '${name}'; it knows ${Object.keys(FORMS).join(', ') || 'none'}`);
  return form();
}
