// Keywords about the value itself: its type, its bounds as a number, its length, pattern and format as a text, and const and enum.
// Called by compile.ts.
import { NUMBER_FORMATS, TEXT_FORMATS } from './formats.ts';
import { linearPattern } from './pattern.ts';
import type { Pattern } from './pattern.ts';
import type { JsonObject } from './refs.ts';
import type { Check } from './run.ts';

/** For one pattern and one text, instructions times characters: 40 ns each at worst, 40 ms in all; a hundredth of that as a rule. */
const PATTERN_WORK_MAX = 1_000_000;
/** What of it counts as one step of the run. */
export const PATTERN_WORK_OF_STEP = 4;
const SHOWN_VALUES_MAX = 10;
/** V8 keeps a note for each character that an expression has passed; nothing that has a format is longer in earnest, but base64. */
const FORMAT_CHARACTERS_MAX = 65_536;

const ARTICLES: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null',
};

export function scalarChecks(schema: JsonObject): Check[] {
  return [typeCheck(schema), constCheck(schema), ...numberChecks(schema), ...textChecks(schema)].filter((check) => check !== undefined);
}

function typeCheck({ type }: JsonObject): Check | undefined {
  if (type === undefined) return undefined;
  const types = (Array.isArray(type) ? type : [type]) as string[];
  const message = `must be ${types.map((one) => ARTICLES[one]).join(' or ')}`;
  if (types.length === 1 && types[0] === 'string') return (value, run) => typeof value === 'string' || run.fail(message);
  const number = types.includes('number');
  const integer = types.includes('integer');
  const named = new Set(types);
  return (value, run) => {
    const is = typeof value;
    if (is === 'number' ? number || (integer && Number.isInteger(value)) : named.has(is === 'object' ? kindOf(value) : is)) return true;
    return run.fail(message);
  };
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : 'object';
}

function constCheck(schema: JsonObject): Check | undefined {
  const has = Object.hasOwn(schema, 'const');
  if (!has && schema['enum'] === undefined) return undefined;
  const values = [...(has ? [schema['const']] : []), ...((schema['enum'] as unknown[] | undefined) ?? [])];
  const listed = values.slice(0, SHOWN_VALUES_MAX).map((value) => JSON.stringify(value).slice(0, 60));
  const message = `must be ${listed.length > 1 || values.length > 1 ? 'one of ' : ''}${listed.join(', ')}${values.length > SHOWN_VALUES_MAX ? ', …' : ''}`;
  const constant = has ? keyOf(schema['const']) : undefined;
  const allowed = schema['enum'] === undefined ? undefined : new Set((schema['enum'] as unknown[]).map(keyOf));
  const simple = values.every((value) => typeof value !== 'object' || value === null);
  return (value, run) => {
    if (typeof value === 'object' && value !== null) {
      if (simple) return run.fail(message);
      run.spend(sizeOf(value));
    }
    const key = keyOf(value);
    return ((constant === undefined || constant === key) && (allowed === undefined || allowed.has(key))) || run.fail(message);
  };
}

function numberChecks(schema: JsonObject): Check[] {
  const checks: Check[] = [];
  const add = (holds: (value: number) => boolean, message: string): void => {
    checks.push((value, run) => typeof value !== 'number' || holds(value) || run.fail(message));
  };
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, format } = schema as Record<string, number | undefined>;
  if (minimum !== undefined) add((value) => value >= minimum, `must be at least ${minimum}`);
  if (maximum !== undefined) add((value) => value <= maximum, `must be at most ${maximum}`);
  if (exclusiveMinimum !== undefined) add((value) => value > exclusiveMinimum, `must be more than ${exclusiveMinimum}`);
  if (exclusiveMaximum !== undefined) add((value) => value < exclusiveMaximum, `must be less than ${exclusiveMaximum}`);
  if (multipleOf !== undefined) add((value) => isMultiple(value, multipleOf), `must be a multiple of ${multipleOf}`);
  const known = typeof format === 'string' ? ownOf(NUMBER_FORMATS, format) : undefined;
  if (known !== undefined) add(known.is, `must be ${known.what}`);
  return checks;
}

/** 0.0075 is a multiple of 0.0001, though not in binary. */
function isMultiple(value: number, of: number): boolean {
  const times = value / of;
  if (Number.isInteger(times)) return true;
  if (!Number.isFinite(times)) return Number.isInteger(value) && Number.isInteger(1 / of);
  return Math.abs(times) < 2 ** 30 && Math.abs(times - Math.round(times)) < 1e-9 && Math.round(times) !== 0;
}

function textChecks(schema: JsonObject): Check[] {
  const checks: Check[] = [];
  const { minLength, maxLength } = schema as Record<string, number | undefined>;
  if (maxLength !== undefined) {
    const message = `must have at most ${maxLength} characters`;
    checks.push((value, run) => typeof value !== 'string' || !isLonger(value, maxLength) || run.fail(message));
  }
  if (minLength !== undefined && minLength > 0) {
    const message = minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`;
    checks.push((value, run) => typeof value !== 'string' || isLonger(value, minLength - 1) || run.fail(message));
  }
  if (typeof schema['pattern'] === 'string') {
    const source = schema['pattern'];
    const pattern = patternOf(source);
    const message = `must match ${source.length > 120 ? `${source.slice(0, 117)}…` : source}`;
    const charactersMax = Math.floor(PATTERN_WORK_MAX / pattern.cost);
    checks.push((value, run) => {
      if (typeof value !== 'string') return true;
      // Longer than what the schema allows anyway, which has been said.
      if (maxLength !== undefined && value.length > 2 * maxLength) return false;
      if (value.length > charactersMax)
        return run.fail(`must have at most ${charactersMax} characters, since more are not compared with its pattern`);
      run.spend(Math.ceil((value.length * pattern.cost) / PATTERN_WORK_OF_STEP));
      return pattern.test(value) || run.fail(message);
    });
  }
  const known = typeof schema['format'] === 'string' ? ownOf(TEXT_FORMATS, schema['format']) : undefined;
  if (known !== undefined) {
    const message = `must be ${known.what}`;
    const charactersMax = schema['format'] === 'byte' ? Infinity : FORMAT_CHARACTERS_MAX;
    checks.push((value, run) => {
      if (typeof value !== 'string') return true;
      run.spend(value.length >> 4);
      return (value.length <= charactersMax && known.is(value)) || run.fail(message);
    });
  }
  return checks;
}

/** Of a schema that was checked: it is linear. */
export function patternOf(source: string): Pattern {
  const pattern = linearPattern(source);
  if (typeof pattern === 'string') throw new Error(`a pattern that was not checked: ${pattern}`);
  return pattern;
}

/** In characters, not in UTF-16; counted only where it matters. */
function isLonger(text: string, max: number): boolean {
  if (text.length <= max) return false;
  if (text.length > 2 * max) return true;
  let count = 0;
  for (const _ of text) if (++count > max) return true;
  return false;
}

/** Equal values of JSON have equal keys, whatever the order of their members: comparing costs what they are long, never its square. */
export function keyOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? `"${value}"` : JSON.stringify(value);
  return JSON.stringify(sorted(value));
}

/** Members as a list, so that `__proto__` is a name like any other. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, one]) => [name, sorted(one)]) };
}

/** Values in it. */
export function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? 1 + (value.length >> 6) : 1;
  let size = 1;
  for (const one of Object.values(value)) size += sizeOf(one);
  return size;
}

function ownOf<T>(table: Record<string, T>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
