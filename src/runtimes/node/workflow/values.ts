// What is kept of a step: its result as JSON, or its error with what is needed to throw it again. Invariant: what a step gives is the
// same in the wake-up in which it ran and in every replay, so results are always read back from their JSON, and errors made anew.
import type { KeptError } from '../../../protocol/workflow-run.ts';
import { toGuestError } from '../failure.ts';

const FIELDS_BYTES_MAX = 4 * 1024;
const DEPTH_MAX = 200;
const BUILT_IN = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError } as const;

/** Its text as JSON; undefined: the value is undefined. Throws a TypeError that names what JSON cannot hold. */
export function jsonOf(value: unknown, what: string, bytesMax: number): string | undefined {
  if (value === undefined) return undefined;
  const why = whyNot(value, what, 0);
  if (why !== undefined) throw fatal(new TypeError(`${why}; return plain data from it, or nothing`));
  const json = textOf(value, what);
  if (json === undefined) return undefined;
  const bytes = Buffer.byteLength(json);
  if (bytes <= bytesMax) return json;
  throw fatal(
    new RangeError(
      `${what} has ${bytes} bytes as JSON; at most ${bytesMax} are kept: store it elsewhere, and return where it is to be found`,
    ),
  );
}

/** What has a `toJSON` says by it what it is. */
function textOf(value: unknown, what: string): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw fatal(new TypeError(`${what} cannot be written as JSON: ${(error as Error).message}`, { cause: error }));
  }
}

function whyNot(value: unknown, path: string, depth: number): string | undefined {
  switch (typeof value) {
    case 'undefined':
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : `${path} is ${value}, which JSON cannot hold`;
    case 'object':
      return value === null ? undefined : whyNoObject(value, path, depth);
    default:
      return `${path} is a ${typeof value}, which JSON cannot hold`;
  }
}

function whyNoObject(value: object, path: string, depth: number): string | undefined {
  if (depth > DEPTH_MAX) return `${path.slice(0, 60)}… is nested deeper than ${DEPTH_MAX} levels, or holds itself`;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function' && !Buffer.isBuffer(value)) return undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const why = whyNot(value[i], `${path}[${i}]`, depth + 1);
      if (why !== undefined) return why;
    }
    return undefined;
  }
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (kind !== 'Object' || ArrayBuffer.isView(value)) return `${path} is a ${value.constructor?.name ?? kind}, which JSON cannot hold`;
  for (const [key, item] of Object.entries(value)) {
    const why = whyNot(item, `${path}.${key}`, depth + 1);
    if (why !== undefined) return why;
  }
  return undefined;
}

export function keptError(thrown: unknown): KeptError {
  const { name, message, stack } = toGuestError(thrown);
  const kept: KeptError = { name, message };
  if (stack !== '') kept.stack = stack;
  if (typeof thrown !== 'object' || thrown === null) return kept;
  const fields: Record<string, unknown> = {};
  for (const key of Object.keys(thrown)) {
    if (key === 'name' || key === 'message' || key === 'stack') continue;
    const value = plainOf(thrown, key);
    if (value !== undefined) fields[key] = value;
  }
  if (Object.keys(fields).length === 0) return kept;
  if (Buffer.byteLength(JSON.stringify(fields)) <= FIELDS_BYTES_MAX) kept.fields = fields;
  else if (fields['retryable'] === false) kept.fields = { retryable: false };
  return kept;
}

/** As it will be read back; undefined: it is nothing that JSON holds, or throws when it is looked at. */
function plainOf(thrown: object, key: string): unknown {
  try {
    const value = (thrown as Record<string, unknown>)[key];
    if (value === undefined || whyNot(value, key, DEPTH_MAX - 3) !== undefined) return undefined;
    return JSON.parse(JSON.stringify(value)) as unknown;
  } catch {
    return undefined;
  }
}

export function errorOf({ name, message, stack, fields }: KeptError): Error {
  const error = new (BUILT_IN[name as keyof typeof BUILT_IN] ?? Error)(message);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, fields);
}

/** Marks an error as one that no further attempt is worth. */
export function fatal<E extends Error>(error: E): E & { retryable: false } {
  return Object.assign(error, { retryable: false as const });
}

export function isFatal(thrown: unknown): boolean {
  return typeof thrown === 'object' && thrown !== null && (thrown as { retryable?: unknown }).retryable === false;
}
