// The forms that this guest knows: adapters between code that was written for something else and the frames of the engine.
// Each is a chunk of its own beside guest.cjs, loaded when a function of that form is, so that no other function waits for it.
// Invariant: a form loads the code, or fails with an error that names what is missing, and serves by the same invocations,
// answers and logs as every function. Called by guest.ts.
import type { InitPayload } from '../../../protocol/frames.ts';
import { LoadError } from '../failure.ts';
import type { Loaded, Target } from '../load.ts';
import type { LogRecords } from '../log-records.ts';

/** What a form gets of the guest. */
export interface FormHost {
  log: LogRecords;
  /** fd 3, which keeps the process alive unless it is told not to. */
  channel: { ref(): void; unref(): void };
}

export interface Form {
  load(init: InitPayload, host: FormHost): Promise<Loaded>;
  /** What serves, without anything that the code of a function could see: a blank runs it once while it waits. */
  rehearsed?: (init: InitPayload, host: FormHost) => Target;
}

const FORMS: Record<string, () => Promise<Form>> = {
  lambda: () => import('./lambda/lambda.ts'),
};

const loaded = new Map<string, Form>();

/** A form that was loaded before (rehearsal.ts) is there at once. */
export async function formOf(name: string): Promise<Form> {
  const there = loaded.get(name);
  if (there !== undefined) return there;
  const load = FORMS[name];
  if (load === undefined)
    throw new LoadError(`this runtime runs no code of the form '${name}'; it knows ${Object.keys(FORMS).join(', ') || 'none'}`);
  const form = await load();
  loaded.set(name, form);
  return form;
}
