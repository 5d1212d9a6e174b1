// Anything that user code can throw, as a GuestError: name, message and a stack that shows the user's files (Node
// applies their source maps: source-maps.ts) and none of ours. Invariant: never throws itself, whatever the
// thrown value does, and each part is bounded. Callers: serve.ts, guest.ts, last-words.ts.
import { inspect } from 'node:util';
import type { GuestError } from '../../protocol/frames.ts';
import { releaseSourceMaps } from './source-maps.ts';

const NAME_MAX = 200;
const MESSAGE_MAX = 8 * 1024;
const STACK_MAX = 16 * 1024;
/** How the files of the guest program begin. Their frames are of no use to anyone who reads a function's log. */
const OWN_FILES = (process.argv[1] ?? '').replace(/\.cjs$/, '');

/** The answer of a function is not one that can be sent. The host maps the name to function_bad_response. */
export class BadResponse extends Error {
  override name = 'BadResponse';
}

/** The function's code is there but cannot be called. */
export class LoadError extends Error {
  override name = 'LoadError';
}

export function toGuestError(thrown: unknown): GuestError {
  try {
    if (!isError(thrown)) {
      return { name: 'Error', message: `a value that is no Error was thrown: ${inspect(thrown).slice(0, MESSAGE_MAX)}`, stack: '' };
    }
    const name = String(thrown.name).slice(0, NAME_MAX) || 'Error';
    return { name, message: String(thrown.message).slice(0, MESSAGE_MAX), stack: ownStack(thrown) ? '' : stackOf(thrown) };
  } catch (error) {
    return {
      name: 'Error',
      message: `a value was thrown that cannot be read: ${error instanceof Error ? error.message : 'no reason given'}`,
      stack: '',
    };
  }
}

/** As toGuestError, in one text. */
export function describe(thrown: unknown): string {
  const { name, message, stack } = toGuestError(thrown);
  return stack === '' ? `${name}: ${message}` : stack;
}

function isError(thrown: unknown): thrown is Error {
  return (
    thrown instanceof Error ||
    Object.prototype.toString.call(thrown) === '[object Error]' ||
    (typeof thrown === 'object' && thrown !== null && 'stack' in thrown && 'message' in thrown)
  );
}

function ownStack(error: Error): boolean {
  return error instanceof BadResponse || error instanceof LoadError;
}

function stackOf(error: Error): string {
  releaseSourceMaps();
  // inspect() adds causes, the errors of an AggregateError, and properties such as `code`.
  const plain = error.cause === undefined && Object.keys(error).length === 0 && !(error instanceof AggregateError);
  const stack = plain ? String(error.stack ?? `${error.name}: ${error.message}`) : inspect(error, { depth: 4 });
  return withoutOwnFrames(stack).slice(0, STACK_MAX);
}

function withoutOwnFrames(stack: string): string {
  if (OWN_FILES === '' || !stack.includes(OWN_FILES)) return stack;
  const lines = stack.split('\n');
  return lines.filter((line) => !(line.includes(OWN_FILES) && /^\s+at /.test(line))).join('\n');
}
