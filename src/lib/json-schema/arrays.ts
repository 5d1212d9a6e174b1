// Keywords about lists. Called by compile.ts.
import type { JsonObject } from './refs.ts';
import type { Check, Compiling, Run, Seen } from './run.ts';
import { keyOf, sizeOf } from './scalars.ts';

type ListCheck = (value: unknown[], run: Run, seen: Seen | undefined) => boolean;

export function arrayChecks(schema: JsonObject, compiling: Compiling): Check[] {
  const checks = [lengths(schema), items(schema, compiling), contains(schema, compiling), unique(schema)];
  return checks.flatMap((check): Check[] =>
    check === undefined ? [] : [(value, run, seen) => !Array.isArray(value) || check(value, run, seen)],
  );
}

function lengths(schema: JsonObject): ListCheck | undefined {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema as Record<string, number | undefined>;
  if (minItems === 0 && maxItems === Number.POSITIVE_INFINITY) return undefined;
  return (value, run) => {
    if (value.length < minItems) return run.fail(`must have at least ${minItems} ${minItems === 1 ? 'item' : 'items'}`);
    return value.length <= maxItems || run.fail(`must have at most ${maxItems} ${maxItems === 1 ? 'item' : 'items'}`);
  };
}

function items(schema: JsonObject, compiling: Compiling): ListCheck | undefined {
  const first = ((schema['prefixItems'] as unknown[] | undefined) ?? []).map((one) => compiling.check(one));
  const rest = schema['items'] === undefined ? undefined : compiling.check(schema['items']);
  if (first.length === 0 && rest === undefined) return undefined;
  return (value, run, seen) => {
    let valid = true;
    const end = rest === undefined ? Math.min(first.length, value.length) : value.length;
    for (let i = 0; i < end; i++) {
      if (!run.below(i, value[i], first[i] ?? rest!)) {
        valid = false;
        if (run.hasty) return false;
      }
      if (rest === undefined) seen?.keys.add(i);
    }
    if (rest !== undefined && seen !== undefined) seen.all = true;
    return valid;
  };
}

function contains(schema: JsonObject, compiling: Compiling): ListCheck | undefined {
  if (schema['contains'] === undefined) return undefined;
  const check = compiling.check(schema['contains']);
  const { minContains = 1, maxContains = Number.POSITIVE_INFINITY } = schema as Record<string, number | undefined>;
  return (value, run, seen) => {
    let count = 0;
    for (let i = 0; i < value.length; i++) {
      if (!run.matches(check, value[i], undefined)) continue;
      count++;
      seen?.keys.add(i);
    }
    if (count < minContains) return run.fail(`must contain at least ${minContains} matching ${minContains === 1 ? 'item' : 'items'}`);
    return count <= maxContains || run.fail(`must contain at most ${maxContains} matching ${maxContains === 1 ? 'item' : 'items'}`);
  };
}

/** By keys in a set: a client must not make the comparison of everything with everything. */
function unique(schema: JsonObject): ListCheck | undefined {
  if (schema['uniqueItems'] !== true) return undefined;
  return (value, run) => {
    const keys = new Set<string>();
    for (let i = 0; i < value.length; i++) {
      // A key costs what eight checks do.
      run.spend(8 * sizeOf(value[i]));
      const key = keyOf(value[i]);
      if (keys.has(key)) return run.fail('is there twice', i);
      keys.add(key);
    }
    return true;
  };
}
