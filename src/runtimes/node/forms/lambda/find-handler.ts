// Finds the handler in what the function's code exports: `handler`, or a path such as `api.orders.get` through objects.
// Invariant: either a function, or a LoadError that says what is there instead. Called by lambda.ts.
import { LoadError } from '../../failure.ts';
import { describeExports, placesOf } from '../../load.ts';
import type { Exports } from '../../load.ts';

export function findHandler(namespace: Exports, file: string, name: string): (...args: never[]) => unknown {
  const steps = name.split('.');
  let found: unknown;
  for (const place of placesOf(namespace)) {
    found = steps.reduce<unknown>((at, step) => (at as Exports | null | undefined)?.[step], place);
    if (typeof found === 'function') return found as (...args: never[]) => unknown;
  }
  const what =
    found === undefined ? 'is not exported' : `is no function but ${found === null ? 'null' : `a value of type ${typeof found}`}`;
  throw new LoadError(
    `the handler '${name}' of ${file} ${what}: ${file} exports ${describeExports(namespace)}; a Lambda handler is a function (event, context) or (event, context, callback)`,
  );
}
