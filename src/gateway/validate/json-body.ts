// Bytes of a client as a value of JSON, or why not. Invariants: how deep it is nested is known before anything recursive looks at it; a
// member that is there twice is refused, since the function may take the other one than was checked; and `__proto__` is a name like
// any other (JSON.parse makes own members alone). Called by validate.ts and responses.ts.
import { isUtf8 } from 'node:buffer';
import { pointerText } from '../../lib/json-schema/refs.ts';
import type { ValueProblem } from '../../lib/json-schema/run.ts';
import { jsonFault } from './json-fault.ts';

/** The value, or the problem. */
export type JsonRead = { value: unknown; problem?: undefined } | { problem: ValueProblem };

const QUOTE = 34;
const BACKSLASH = 92;

export function readJson(bytes: Buffer, depthMax: number): JsonRead {
  if (!isUtf8(bytes)) return wrong('is not UTF-8');
  const { depth, colons } = shapeOf(bytes, depthMax);
  if (depth > depthMax) return wrong(`is nested more than ${depthMax} deep`);
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return wrong(`is not JSON from ${placeText(text, jsonFault(text)?.offset ?? text.length)} on`);
  }
  // Each member of sound JSON has one colon; those that came twice are one in the value.
  if (colons > 0 && membersIn(value) !== colons) {
    const fault = jsonFault(text);
    if (fault?.duplicate !== undefined)
      return { problem: { pointer: pointerText(fault.duplicate), message: `is there twice, again at ${placeText(text, fault.offset)}` } };
  }
  return { value };
}

function wrong(message: string): JsonRead {
  return { problem: { pointer: '#', message } };
}

/** Stops counting where it is too deep. */
function shapeOf(bytes: Buffer, depthMax: number): { depth: number; colons: number } {
  let depth = 0;
  let deepest = 0;
  let colons = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) {
      for (i++; i < bytes.length && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > deepest && (deepest = depth) > depthMax) break;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte === 0x3a) colons++;
  }
  return { depth: deepest, colons };
}

/** Recursive: no deeper than was allowed. */
function membersIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) {
    for (const one of value) if (typeof one === 'object') members += membersIn(one);
    return members;
  }
  for (const name in value) {
    members++;
    const one = (value as Record<string, unknown>)[name];
    if (typeof one === 'object') members += membersIn(one);
  }
  return members;
}

function placeText(text: string, offset: number): string {
  const before = text.slice(0, offset);
  return `line ${before.split('\n').length}, column ${offset - before.lastIndexOf('\n')}`;
}
