// What a program reports as an error (`…/error`, `init/error`, the trailers of a streamed answer), as a GuestError. Its body is
// JSON with errorMessage, errorType and stackTrace, by convention alone: a program may write anything. Invariant: never throws;
// each part is bounded. Used by runtime-api.ts and streamed-answer.ts.
import type { GuestError } from '../../../../protocol/frames.ts';

const NAME_MAX = 200;
const MESSAGE_MAX = 8 * 1024;
const STACK_MAX = 16 * 1024;

export function programError(body: Buffer, type: string | undefined): GuestError {
  const text = body.toString('utf8');
  const told = parsed(text);
  const name = (stringOf(told?.['errorType']) ?? type ?? 'Error').slice(0, NAME_MAX) || 'Error';
  const message = (told === undefined ? text : (stringOf(told['errorMessage']) ?? '')).slice(0, MESSAGE_MAX);
  const trace = told?.['stackTrace'] ?? told?.['trace'];
  const lines = Array.isArray(trace) ? trace.map(String).join('\n') : (stringOf(trace) ?? '');
  if (lines === '') return { name, message, stack: '' };
  const headed = lines.startsWith(name) ? lines : `${name}: ${message}\n${lines}`;
  return { name, message, stack: headed.slice(0, STACK_MAX) };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
