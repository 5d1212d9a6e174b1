// A JSON Schema (2020-12) as functions that check values. Made of closures, not of generated code, since schemas are of tenants: there is
// nothing to inject into, compiling costs microseconds for each keyword, and every step is counted, so that no pair of schema and value
// holds the process up. ajv (generated code) checks an order of five items in 0.2 µs where this takes 4 (JSON.parse: 1), but
// takes 8 ms to compile its schema where this takes 0.02, in the process that serves everybody, and its work on `allOf` of `allOf` or
// on `uniqueItems` has no bound. Invariant: the schema has passed check.ts.
import { arrayChecks } from './arrays.ts';
import { objectChecks } from './objects.ts';
import { combinationChecks } from './combinations.ts';
import { isObject, pointerTokens, valueAt } from './refs.ts';
import type { JsonObject } from './refs.ts';
import { Run, Seen, TooMuch } from './run.ts';
import type { Check, Compiling, ValueProblem } from './run.ts';
import { scalarChecks } from './scalars.ts';

export interface Limits {
  problemsMax: number;
  stepsMax: number;
}

export interface CompiledSchema {
  /** Empty: the value is valid. */
  problems(value: unknown, limits: Limits): ValueProblem[];
}

export function compileSchema(schema: unknown): CompiledSchema {
  const check = new Compiler(schema).check(schema);
  return {
    problems: (value, limits) => {
      const run = new Run(limits);
      try {
        check(value, run, undefined);
      } catch (error) {
        if (!(error instanceof TooMuch)) throw error;
        run.problems.push({
          pointer: '#',
          message: `takes more than the ${limits.stepsMax} steps that one check may take; send less at once`,
        });
      }
      return run.problems;
    },
  };
}

class Compiler implements Compiling {
  readonly #root: unknown;
  readonly #known = new Map<JsonObject, Check>();
  readonly #anchors = new Map<string, JsonObject>();

  constructor(root: unknown) {
    this.#root = root;
    this.#findAnchors(root);
  }

  check(schema: unknown): Check {
    if (schema === true) return () => true;
    if (!isObject(schema)) return (_value, run) => run.fail('is not allowed here');
    const known = this.#known.get(schema);
    if (known !== undefined) return known;
    // It may refer to itself: until it is compiled, the way to it is a detour.
    this.#known.set(schema, (value, run, seen) => this.#known.get(schema)!(value, run, seen));
    const compiled = this.#compile(schema);
    this.#known.set(schema, compiled);
    return compiled;
  }

  #compile(schema: JsonObject): Check {
    const checks = [
      ...scalarChecks(schema),
      ...(typeof schema['$ref'] === 'string' ? [this.check(this.#target(schema['$ref']))] : []),
      ...combinationChecks(schema, this),
      ...objectChecks(schema, this),
      ...arrayChecks(schema, this),
    ];
    const unevaluated = [unevaluatedCheck(schema, this, 'unevaluatedProperties'), unevaluatedCheck(schema, this, 'unevaluatedItems')];
    const last = unevaluated.filter((check) => check !== undefined);
    const all = (value: unknown, run: Run, seen: Seen | undefined): boolean => {
      run.enter();
      let valid = true;
      for (const check of checks) {
        if (check(value, run, seen)) continue;
        valid = false;
        if (run.hasty) break;
      }
      run.depth--;
      return valid;
    };
    if (last.length === 0) return all;
    return (value, run, seen) => {
      const own = new Seen();
      let valid = all(value, run, own);
      // Where the rest does not hold, what it has looked at is not known.
      if (valid) for (const check of last) valid = check(value, run, own) && valid;
      if (valid) seen?.add(own);
      return valid;
    };
  }

  #target(ref: string): unknown {
    const tokens = pointerTokens(ref);
    const target = tokens === undefined ? this.#anchors.get(ref.slice(1)) : valueAt(this.#root, tokens);
    if (target === undefined) throw new Error(`a reference that was not checked: ${ref.slice(0, 200)}`);
    return target;
  }

  #findAnchors(value: unknown): void {
    if (typeof value !== 'object' || value === null) return;
    const anchor = (value as JsonObject)['$anchor'];
    if (typeof anchor === 'string') this.#anchors.set(anchor, value as JsonObject);
    for (const one of Object.values(value)) this.#findAnchors(one);
  }
}

function unevaluatedCheck(schema: JsonObject, compiling: Compiling, key: 'unevaluatedProperties' | 'unevaluatedItems'): Check | undefined {
  if (schema[key] === undefined) return undefined;
  const items = key === 'unevaluatedItems';
  const check = compiling.check(schema[key]);
  return (value, run, seen) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) !== items || seen!.all) return true;
    let valid = true;
    for (const [name, one] of Object.entries(value)) {
      const at = items ? Number(name) : name;
      if (seen!.keys.has(at)) continue;
      if (!run.below(at, one, check)) valid = false;
    }
    seen!.all = true;
    return valid;
  };
}
