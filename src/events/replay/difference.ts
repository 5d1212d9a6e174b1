// What differs between two answers of a function: status, headers, body. JSON is compared by path, text by line, other bytes as a whole.
// Invariant: what is of one exchange alone (dates, ids, times) is no difference. Pure. Used by replay.
import { parseExactly, writtenNumber } from '../../lib/exact-json.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { Difference } from '../../protocol/replay-api.ts';

export interface ComparedAnswer {
  status: number;
  headers: FlatHeaders;
  contentType: string;
  body: Buffer;
  /** More of the body is not known. */
  truncated: boolean;
}

const OF_ONE_EXCHANGE = new Set([
  'age',
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'server-timing',
  'traceparent',
  'transfer-encoding',
  'x-request-id',
  'x-virga-invocation',
]);
const DIFFERENCES_MAX = 1_000;
/** The comparison of two texts takes their product. */
const LINES_MAX = 2_000;
const CONTEXT_LINES = 3;
const DEPTH_MAX = 200;
/** Of one value; the whole answer stands beside the differences. */
const VALUE_CHARACTERS_MAX = 2_000;

export function differences(before: ComparedAnswer, after: ComparedAnswer): Difference[] {
  const found: Difference[] = [];
  if (before.status !== after.status) found.push({ at: 'status', before: before.status, after: after.status });
  const [ours, theirs] = [namedValues(before.headers), namedValues(after.headers)];
  for (const name of [...new Set([...ours.keys(), ...theirs.keys()])].sort()) {
    const [was, is] = [ours.get(name), theirs.get(name)];
    if (was !== is)
      found.push({ at: `header.${name}`, ...(was === undefined ? {} : { before: was }), ...(is === undefined ? {} : { after: is }) });
  }
  bodies(before, after, found);
  return found.slice(0, DIFFERENCES_MAX);
}

function namedValues(headers: FlatHeaders): Map<string, string> {
  const named = new Map<string, string>();
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    if (OF_ONE_EXCHANGE.has(name)) continue;
    const there = named.get(name);
    named.set(name, there === undefined ? headers[i + 1]! : `${there}, ${headers[i + 1]!}`);
  }
  return named;
}

function bodies(before: ComparedAnswer, after: ComparedAnswer, found: Difference[]): void {
  // Of one that was cut only its beginning is known.
  const bytes = before.truncated || after.truncated ? Math.min(before.body.length, after.body.length) : Infinity;
  const [ours, theirs] = [before.body.subarray(0, bytes), after.body.subarray(0, bytes)];
  if (ours.equals(theirs)) return;
  const [was, is] = [jsonOf(before, bytes), jsonOf(after, bytes)];
  if (was !== undefined && is !== undefined) {
    values(was.value, is.value, { path: 'body', depth: 0 }, found);
    return;
  }
  const [text, other] = [ours.toString(), theirs.toString()];
  if (ours.equals(Buffer.from(text)) && theirs.equals(Buffer.from(other))) found.push({ at: 'body', lines: unified(text, other) });
  else found.push({ at: 'body', before: `${ours.length} bytes`, after: `${theirs.length} bytes` });
}

function jsonOf({ body, contentType }: ComparedAnswer, bytes: number): { value: unknown } | undefined {
  if (bytes !== Infinity || !/\bjson\b/i.test(contentType)) return undefined;
  try {
    return { value: parseExactly(body.toString()) };
  } catch {
    return undefined;
  }
}

function values(was: unknown, is: unknown, { path, depth }: { path: string; depth: number }, found: Difference[]): void {
  if (found.length >= DIFFERENCES_MAX || Object.is(was, is)) return;
  if (!isNested(was) || !isNested(is) || Array.isArray(was) !== Array.isArray(is) || depth >= DEPTH_MAX) {
    if (textOf(was) !== textOf(is))
      found.push({ at: path, ...(was === undefined ? {} : { before: shown(was) }), ...(is === undefined ? {} : { after: shown(is) }) });
    return;
  }
  const [ours, theirs] = [was as Record<string, unknown>, is as Record<string, unknown>];
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const at = { path: `${path}.${key}`, depth: depth + 1 };
    const [mine, other] = [Object.hasOwn(ours, key) ? ours[key] : undefined, Object.hasOwn(theirs, key) ? theirs[key] : undefined];
    values(mine, other, at, found);
  }
}

function isNested(value: unknown): value is object {
  return typeof value === 'object' && value !== null && writtenNumber(value) === undefined;
}

function textOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return '(nested too deep to be compared)';
  }
}

/** What is large is cut, as text; so is a number that would be another in a program that reads it. */
function shown(value: unknown): unknown {
  const written = writtenNumber(value);
  if (written !== undefined) return written;
  const text = textOf(value) ?? '';
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, '')}…` : value;
}

/** Lines as `diff -u` has them, without its heading. */
function unified(before: string, after: string): string[] {
  const [ours, theirs] = [before.split('\n'), after.split('\n')];
  if (ours.length > LINES_MAX || theirs.length > LINES_MAX) return [`-(${ours.length} lines)`, `+(${theirs.length} lines)`];
  const script = editsOf(ours, theirs);
  const near = script.map((_, at) =>
    script.slice(Math.max(0, at - CONTEXT_LINES), at + CONTEXT_LINES + 1).some((line) => !line.startsWith(' ')),
  );
  return script.flatMap((line, at) => (near[at] === true ? [line] : near[at - 1] === true ? [' …'] : []));
}

/** By the longest common subsequence. */
function editsOf(ours: string[], theirs: string[]): string[] {
  const width = theirs.length + 1;
  const longest = new Uint16Array((ours.length + 1) * width);
  for (let i = ours.length - 1; i >= 0; i--)
    for (let j = theirs.length - 1; j >= 0; j--)
      longest[i * width + j] =
        ours[i] === theirs[j]
          ? longest[(i + 1) * width + j + 1]! + 1
          : Math.max(longest[(i + 1) * width + j]!, longest[i * width + j + 1]!);
  const lines: string[] = [];
  let [i, j] = [0, 0];
  while (i < ours.length || j < theirs.length) {
    if (i < ours.length && j < theirs.length && ours[i] === theirs[j]) {
      lines.push(` ${ours[i]}`);
      i++;
      j++;
    } else if (j >= theirs.length || (i < ours.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!))
      lines.push(`-${ours[i++]}`);
    else lines.push(`+${theirs[j++]}`);
  }
  return lines;
}
