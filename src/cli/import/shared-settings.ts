// What all functions of an imported project have in common, said once, under `defaults`. Invariant: every function means what it meant
// before: a runtime of Node.js as the default does not touch sources in Python. Called by manifest-text.ts.
import type { ImportedFunction, ImportedProject } from './project.ts';

export function withShared(project: ImportedProject): ImportedProject {
  const { functions } = project;
  if (functions.length < 2) return project;
  const form = only(functions.map((fn) => fn.form));
  const runtime = only(functions.filter((fn) => !(fn.runtime === undefined && fn.source.endsWith('.py'))).map((fn) => fn.runtime));
  const shared = { form, runtime: runtime?.startsWith('nodejs') ? runtime : undefined };
  const include = only(functions.map((fn) => JSON.stringify(fn.include))) === undefined ? [] : functions[0]!.include;
  return {
    ...project,
    defaults: {
      ...project.defaults,
      ...(shared.form === undefined ? {} : { form: shared.form }),
      ...(shared.runtime === undefined ? {} : { runtime: shared.runtime }),
      include,
    },
    functions: functions.map((fn) => without(fn, { ...shared, include: include.length > 0 })),
  };
}

function only<T>(values: T[]): T | undefined {
  const different = new Set(values);
  return different.size === 1 ? [...different][0] : undefined;
}

function without(fn: ImportedFunction, shared: { form: unknown; runtime: unknown; include: boolean }): ImportedFunction {
  const { form, runtime, include, ...rest } = fn;
  return {
    ...rest,
    ...(form === undefined || shared.form !== undefined ? {} : { form }),
    ...(runtime === undefined || shared.runtime !== undefined ? {} : { runtime }),
    include: shared.include ? [] : include,
  };
}
