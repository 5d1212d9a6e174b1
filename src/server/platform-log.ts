// What Virga says of itself, on stderr: a JSON line each with `--log json`, else a line for people (who are spared
// `debug`). Function logs are not this: they are records.
// Invariant: never throws, never writes to stdout, and a line is bounded; a reader that left (EPIPE) and a value that
// cannot be printed are no reason to fail. Control characters are escaped: a message may quote a stranger. Made once by each role.
import type { Writable } from 'node:stream';
import { styleText } from 'node:util';

export type PlatformLogLevel = 'debug' | 'info' | 'warn' | 'error';
export type PlatformLog = (level: PlatformLogLevel, message: string, fields?: Record<string, unknown>) => void;

/** stderr, or what stands in for it. Colours only where it says that it has them (Node's answer honours NO_COLOR). */
export type LogStream = Writable & { isTTY?: boolean; hasColors?: () => boolean };

/** Characters of one line; what is longer is cut. */
const LINE_LENGTH_MAX = 16_384;
const COLOURS = { debug: 'gray', info: 'cyan', warn: 'yellow', error: 'red' } as const;

export function createPlatformLog(role: string, format: 'people' | 'json', out: LogStream = process.stderr): PlatformLog {
  const colours = out.isTTY === true && out.hasColors?.() === true;
  // Without a listener the EPIPE of a reader that went away would take the platform with it.
  if (out.listenerCount('error') === 0) out.on('error', () => {});
  return (level, message, fields = {}) => {
    if (format === 'people' && level === 'debug') return;
    try {
      const now = new Date();
      const line =
        format === 'json'
          ? jsonLine({ at: now.toISOString(), level, role, message }, fields)
          : peopleLine(level, `${role}: ${message}`, { now, fields, colours });
      out.write(`${line}\n`);
    } catch {
      // The stream is gone; there is nowhere left to say so.
    }
  };
}

function jsonLine(line: { at: string; level: PlatformLogLevel; role: string; message: string }, fields: Record<string, unknown>): string {
  let text: string;
  try {
    // Named twice: once for the order of the keys, once so that no field replaces them.
    text = json({ ...line, ...fields, ...line });
  } catch (error) {
    // One bad field does not cost the line.
    text = json({ ...line, fields: unprintable(error) });
  }
  return text.length <= LINE_LENGTH_MAX ? text : json({ ...line, message: line.message.slice(0, LINE_LENGTH_MAX / 2), cut: true });
}

function peopleLine(
  level: PlatformLogLevel,
  text: string,
  { now, fields, colours }: { now: Date; fields: Record<string, unknown>; colours: boolean },
): string {
  const label = colours ? styleText(COLOURS[level], level.padEnd(5), { validateStream: false }) : level.padEnd(5);
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : printed(value)}`)
    .join('');
  return `${now.toTimeString().slice(0, 8)} ${label} ${escaped(`${text}${rest}`.slice(0, LINE_LENGTH_MAX))}`;
}

function printed(value: unknown): string {
  try {
    return json(value);
  } catch (error) {
    return unprintable(error);
  }
}

/** Errors with their stack, bigints as text. Throws for circles and the like. */
function json(value: unknown): string {
  return (
    JSON.stringify(value, (_key, one: unknown) =>
      one instanceof Error ? errorFields(one) : typeof one === 'bigint' ? String(one) : one,
    ) ?? String(value)
  );
}

function unprintable(error: unknown): string {
  return `cannot be printed: ${error instanceof Error ? error.message.split('\n', 1)[0] : 'unknown'}`;
}

function errorFields(error: Error): Record<string, unknown> {
  const { code } = error as NodeJS.ErrnoException;
  return { name: error.name, message: error.message, ...(code === undefined ? {} : { code }), stack: error.stack };
}

/** Lines after the first are indented, and no terminal sequence gets through. */
function escaped(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) =>
    character === '\n' ? '\n  ' : character === '\t' ? ' ' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
