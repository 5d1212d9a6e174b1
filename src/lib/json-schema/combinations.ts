// Keywords that put schemas about the same value together: allOf, anyOf, oneOf, not, if. Invariant: what a branch looked at counts as
// evaluated only if the branch holds. Called by compile.ts.
import type { JsonObject } from './refs.ts';
import { Seen } from './run.ts';
import type { Check, Compiling, Run } from './run.ts';

export function combinationChecks(schema: JsonObject, compiling: Compiling): Check[] {
  const checks: Check[] = [];
  const listed = (key: string): Check[] => ((schema[key] as unknown[] | undefined) ?? []).map((one) => compiling.check(one));
  checks.push(...listed('allOf'));
  if (schema['anyOf'] !== undefined) checks.push(anyOf(listed('anyOf')));
  if (schema['oneOf'] !== undefined) checks.push(oneOf(listed('oneOf')));
  if (schema['not'] !== undefined) {
    const refused = compiling.check(schema['not']);
    checks.push(
      (value, run, seen) => !run.matches(refused, value, seen === undefined ? undefined : new Seen()) || run.fail('is what it must not be'),
    );
  }
  if (schema['if'] !== undefined) checks.push(condition(schema, compiling));
  return checks;
}

/** In quiet, and with what it has looked at. */
function holds(check: Check, value: unknown, run: Run, seen: Seen | undefined): boolean {
  if (seen === undefined) return run.matches(check, value, undefined);
  const own = new Seen();
  if (!run.matches(check, value, own)) return false;
  seen.add(own);
  return true;
}

function anyOf(branches: Check[]): Check {
  return (value, run, seen) => {
    let valid = false;
    for (const branch of branches) {
      if (!holds(branch, value, run, seen)) continue;
      valid = true;
      if (seen === undefined) break;
    }
    return valid || closest(branches, value, run);
  };
}

function oneOf(branches: Check[]): Check {
  return (value, run, seen) => {
    let matching = 0;
    for (const branch of branches) if (holds(branch, value, run, matching === 0 ? seen : undefined) && ++matching > 1) break;
    if (matching === 1) return true;
    return matching === 0
      ? closest(branches, value, run)
      : run.fail('matches more than one of the forms that it may have, of which it must match one');
  };
}

/** The problems of the branch that was meant: the only one whose problems all lie further inside. */
function closest(branches: Check[], value: unknown, run: Run): false {
  if (run.hasty) return false;
  const before = run.problems.length;
  const found = branches.map((branch) => {
    branch(value, run, undefined);
    return run.problems.splice(before);
  });
  const here = run.path.length;
  const meant = found.filter((problems) => problems.every(({ pointer }) => pointer.split('/').length - 1 > here));
  if (meant.length === 1 && meant[0]!.length > 0) {
    run.problems.push(...meant[0]!);
    return false;
  }
  return run.fail(`matches none of the ${branches.length} forms that it may have`);
}

function condition(schema: JsonObject, compiling: Compiling): Check {
  const when = compiling.check(schema['if']);
  const then = compiling.check(schema['then'] ?? true);
  const otherwise = compiling.check(schema['else'] ?? true);
  return (value, run, seen) => (holds(when, value, run, seen) ? then : otherwise)(value, run, seen);
}
