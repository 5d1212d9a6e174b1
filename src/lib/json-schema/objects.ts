// Keywords about objects. Invariant: only own members count, so `__proto__` and `constructor` are names like any other; the message
// names no value. Called by compile.ts.
import type { JsonObject } from './refs.ts';
import { isObject } from './refs.ts';
import type { Check, Compiling, Run, Seen } from './run.ts';
import { PATTERN_WORK_OF_STEP, patternOf } from './scalars.ts';

type ObjectCheck = (value: JsonObject, run: Run, seen: Seen | undefined) => boolean;

export function objectChecks(schema: JsonObject, compiling: Compiling): Check[] {
  const checks = [required(schema), members(schema, compiling), counts(schema), names(schema, compiling), dependents(schema, compiling)];
  return checks.flatMap((check): Check[] =>
    check === undefined ? [] : [(value, run, seen) => !isObject(value) || check(value, run, seen)],
  );
}

function required(schema: JsonObject): ObjectCheck | undefined {
  const needed = schema['required'] as string[] | undefined;
  if (needed === undefined || needed.length === 0) return undefined;
  return (value, run) => {
    let valid = true;
    for (const name of needed) if (!Object.hasOwn(value, name)) valid = run.fail('is missing', name);
    return valid;
  };
}

function members(schema: JsonObject, compiling: Compiling): ObjectCheck | undefined {
  const { properties, patternProperties, additionalProperties } = schema;
  if (properties === undefined && patternProperties === undefined && additionalProperties === undefined) return undefined;
  const known = new Map(Object.entries((properties as JsonObject | undefined) ?? {}).map(([name, one]) => [name, compiling.check(one)]));
  const byPattern = Object.entries((patternProperties as JsonObject | undefined) ?? {}).map(([source, one]) => ({
    pattern: patternOf(source),
    check: compiling.check(one),
  }));
  const forbidden = additionalProperties === false;
  const further = additionalProperties === undefined || forbidden ? undefined : compiling.check(additionalProperties);
  return (value, run, seen) => {
    let valid = true;
    for (const name of Object.keys(value)) {
      if (!valid && run.hasty) return false;
      run.spend(1);
      const check = known.get(name);
      let met = check !== undefined;
      if (check !== undefined && !run.below(name, value[name], check)) valid = false;
      for (const one of byPattern) {
        run.spend(1 + Math.ceil((name.length * one.pattern.cost) / PATTERN_WORK_OF_STEP));
        if (!one.pattern.test(name)) continue;
        met = true;
        if (!run.below(name, value[name], one.check)) valid = false;
      }
      if (!met) {
        if (forbidden) valid = run.fail('is not known here', name);
        else if (further === undefined) continue;
        else if (!run.below(name, value[name], further)) valid = false;
      }
      seen?.keys.add(name);
    }
    return valid;
  };
}

function counts(schema: JsonObject): ObjectCheck | undefined {
  const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = schema as Record<string, number | undefined>;
  if (minProperties === 0 && maxProperties === Number.POSITIVE_INFINITY) return undefined;
  return (value, run) => {
    const count = Object.keys(value).length;
    if (count < minProperties) return run.fail(`must have at least ${minProperties} members`);
    return count <= maxProperties || run.fail(`must have at most ${maxProperties} members`);
  };
}

function names(schema: JsonObject, compiling: Compiling): ObjectCheck | undefined {
  if (schema['propertyNames'] === undefined) return undefined;
  const check = compiling.check(schema['propertyNames']);
  return (value, run) => {
    let valid = true;
    for (const name of Object.keys(value))
      if (!run.matches(check, name, undefined)) valid = run.fail('is not a name that is allowed here', name);
    return valid;
  };
}

function dependents(schema: JsonObject, compiling: Compiling): ObjectCheck | undefined {
  const needed = Object.entries((schema['dependentRequired'] as Record<string, string[]> | undefined) ?? {});
  const schemas = Object.entries((schema['dependentSchemas'] as JsonObject | undefined) ?? {}).map(([name, one]) => ({
    name,
    check: compiling.check(one),
  }));
  if (needed.length === 0 && schemas.length === 0) return undefined;
  return (value, run, seen) => {
    let valid = true;
    for (const [name, others] of needed) {
      if (!Object.hasOwn(value, name)) continue;
      for (const other of others) if (!Object.hasOwn(value, other)) valid = run.fail(`is missing, since ${name} is there`, other);
    }
    for (const { name, check } of schemas) if (Object.hasOwn(value, name) && !check(value, run, seen)) valid = false;
    return valid;
  };
}
