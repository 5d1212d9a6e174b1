// Says what is wrong with a request: every problem, each with its place, the offending value and, where a word is
// misspelt, the one that was probably meant. Invariant: the list is bounded, and so is each value in it.
// Called by operation.ts; the checks that no schema can make (routes.ts) add problems of the same shape.
import type { z } from '@hono/zod-openapi';
import { closestWord } from '../lib/closest-word.ts';
import { VirgaError } from '../protocol/errors.ts';

export interface Problem {
  /** e.g. `functions.hello.settings.memoryMiB`, `?limit`; empty: the whole body. */
  path: string;
  message: string;
  value?: unknown;
}

const PROBLEMS_MAX = 100;
const VALUE_CHARACTERS_MAX = 200;

/** One error for all of them. The message carries the first; `detail` the whole list. */
export function invalidRequest(problems: readonly Problem[]): VirgaError {
  const first = problems[0] ?? { path: '', message: 'the request is not valid' };
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more problem${problems.length > 2 ? 's' : ''}, see detail)` : '';
  const value = first.value === undefined ? '' : ` (got ${JSON.stringify(first.value)})`;
  const message = `${first.path === '' ? 'the body' : `'${first.path}'`} ${first.message}${value}${more}`;
  return new VirgaError('invalid_request', message, { detail: problems.slice(0, PROBLEMS_MAX) });
}

/** The issues of zod in our words. `prefix` is put before each path (`?` for the query). */
export function problemsOf(error: z.ZodError, input: unknown, schema: z.ZodType, prefix = ''): Problem[] {
  return error.issues.flatMap((issue) => problemsOfIssue(issue, { input, schema, prefix }));
}

type Issue = z.ZodError['issues'][number];

function problemsOfIssue(issue: Issue, source: { input: unknown; schema: z.ZodType; prefix: string }): Problem[] {
  const path = issue.path.map(String);
  const at = (keys: string[]): string => source.prefix + keys.join('.');
  const given = valueAt(source.input, path);
  const problem = (message: string): Problem[] => [
    given === undefined ? { path: at(path), message } : { path: at(path), message, value: shown(given) },
  ];
  switch (issue.code) {
    case 'invalid_type':
      return problem(given === undefined ? `is missing; it must be ${named(issue.expected)}` : `must be ${named(issue.expected)}`);
    case 'too_big':
      return problem(`must ${quantity(issue.origin, 'at most', issue.maximum)}`);
    case 'too_small':
      return problem(`must ${quantity(issue.origin, 'at least', issue.minimum)}`);
    case 'invalid_value': {
      const meant = typeof given === 'string' ? closestWord(given, issue.values.map(String)) : undefined;
      const one = `must be one of ${issue.values.map(String).join(', ')}`;
      return problem(meant === undefined ? one : `${one}; did you mean ${meant}?`);
    }
    case 'unrecognized_keys': {
      const known = keysAt(source.schema, path);
      return issue.keys.map((key) => {
        const meant = closestWord(key, known);
        const remedy = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean '${meant}'?`;
        return { path: at([...path, key]), message: `is not known; ${remedy}`, value: shown(valueAt(source.input, [...path, key])) };
      });
    }
    case 'invalid_key':
      return [{ path: at(path), message: issue.issues[0]?.message ?? 'is not a valid name', value: path.at(-1) }];
    default:
      return problem(issue.message);
  }
}

function quantity(origin: string, bound: string, limit: number | bigint): string {
  if (origin === 'string') return `have ${bound} ${limit} characters`;
  if (origin === 'array') return `have ${bound} ${limit} items`;
  if (origin === 'object' || origin === 'record') return `have ${bound} ${limit} entries`;
  return `be ${bound} ${limit}`;
}

function named(expected: string): string {
  if (expected === 'int') return 'a whole number';
  if (expected === 'record') return 'an object';
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

function valueAt(input: unknown, path: readonly string[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** Scalars as they are, cut; of the rest its kind, since an error is not the place for a whole document. */
export function shown(value: unknown): unknown {
  if (typeof value === 'string') return value.length > VALUE_CHARACTERS_MAX ? `${value.slice(0, VALUE_CHARACTERS_MAX)}…` : value;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return value;
}

/** The keys that the schema knows at a path of the input. */
function keysAt(schema: z.ZodType, path: readonly string[]): string[] {
  let current: unknown = schema;
  for (const key of path) current = childOf(unwrapped(current), key);
  const shape = unwrapped(current)?.shape;
  return shape === undefined ? [] : Object.keys(shape);
}

interface SchemaParts {
  shape?: Record<string, unknown>;
  valueType?: unknown;
  element?: unknown;
  unwrap?: () => unknown;
}

function childOf(schema: SchemaParts | undefined, key: string): unknown {
  return schema?.shape?.[key] ?? schema?.valueType ?? schema?.element;
}

function unwrapped(schema: unknown): SchemaParts | undefined {
  let current = schema as (SchemaParts & { element?: unknown }) | undefined;
  while (current?.unwrap !== undefined && current.element === undefined) current = current.unwrap() as SchemaParts;
  return current;
}
