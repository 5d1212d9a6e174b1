// What Virga says of itself, on stderr: a JSON line each with `--log json`, else a line for people. Function logs are not
// this: they are records. Invariant: never throws, never writes to stdout. Made once by each role.
import { styleText } from 'node:util';

export type PlatformLogLevel = 'debug' | 'info' | 'warn' | 'error';
export type PlatformLog = (level: PlatformLogLevel, message: string, fields?: Record<string, unknown>) => void;

const COLOURS = { debug: 'gray', info: 'cyan', warn: 'yellow', error: 'red' } as const;

export function createPlatformLog(role: string, format: 'people' | 'json', out: NodeJS.WriteStream = process.stderr): PlatformLog {
  // A reader that went away must not take the platform with it.
  if (out.listenerCount('error') === 0) out.on('error', () => {});
  if (format === 'json') {
    return (level, message, fields) => {
      out.write(`${JSON.stringify({ at: new Date().toISOString(), level, role, message, ...fields })}\n`);
    };
  }
  return (level, message, fields) => {
    if (level === 'debug') return;
    const time = new Date().toTimeString().slice(0, 8);
    const label = styleText(COLOURS[level], level.padEnd(5), { stream: out });
    const rest = Object.entries(fields ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join('');
    out.write(`${time} ${label} ${role}: ${message}${rest}\n`);
  };
}
