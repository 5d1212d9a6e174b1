// The forms that this guest knows: adapters between code that was written for something else and the frames of the engine.
// Each is a chunk of its own beside guest.cjs, loaded when a function of that form is, so that no other function waits for it.
// Invariant: a form loads the code, or fails with an error that names what is missing, and serves by the same invocations,
// answers and logs as every function. Called by guest.ts.
import { LoadError } from '../failure.ts';
import type { Form } from './form.ts';

const FORMS: Record<string, () => Promise<Form>> = {
  provided: () => import('./provided/provided.ts'),
  lambda: () => import('./lambda/lambda.ts'),
  web: () => import('./web/web.ts'),
  bun: () => import('./web/web.ts'),
  deno: () => import('./web/web.ts'),
  wasm: () => import('./wasm/wasm.ts'),
  workers: () => import('./workers/workers.ts'),
  azure: () => import('./azure/azure.ts'),
  google: () => import('./google/google.ts'),
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

/** What a rehearsal has made ready for other forms than this one is let go. */
export function releaseOthers(name: string | undefined): void {
  for (const [other, form] of loaded) if (other !== name) form.release?.();
}
