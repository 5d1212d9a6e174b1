// One request as a line: JSON, or the Combined Log Format (https://httpd.apache.org/docs/2.4/logs.html#combined). Pure.
// Invariant: whatever clients send, it is one line, and its fields stay where they are. Called by access-log.ts.

export interface LoggedRequest {
  /** Unix ms at which it came. */
  at: number;
  requestId: string;
  client: string;
  method: string;
  host: string;
  /** Path and query, without secrets. */
  path: string;
  /** e.g. `HTTP/1.1`. */
  protocol: string;
  tls: string | undefined;
  status: number;
  /** Of the answer's body. */
  bytes: number;
  durationMs: number;
  project: string | undefined;
  function: string | undefined;
  version: number | undefined;
  route: string | undefined;
  principal: string | undefined;
  referer: string | undefined;
  userAgent: string | undefined;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function jsonLine({ at, ...rest }: LoggedRequest): string {
  // What JSON leaves as it is, some readers of lines take for ends of them.
  const text = JSON.stringify({ time: new Date(at).toISOString(), ...rest });
  return `${text.replace(/[\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

export function commonLine(line: LoggedRequest): string {
  const request = `${line.method} ${line.path} ${line.protocol}`;
  const who = line.principal === undefined || line.principal === '' ? '-' : quotable(line.principal).replaceAll(' ', '\\x20');
  return `${line.client || '-'} - ${who} [${clock(line.at)}] "${quotable(request)}" ${line.status} ${line.bytes === 0 ? '-' : line.bytes} "${quotable(line.referer ?? '-')}" "${quotable(line.userAgent ?? '-')}"\n`;
}

function quotable(text: string): string {
  return text.replace(/["\\]|[^\x20-\x7e]/g, (char) => {
    if (char === '"' || char === '\\') return `\\${char}`;
    return [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  });
}

/** e.g. `10/Oct/2026:13:55:36 +0000`. */
function clock(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}
