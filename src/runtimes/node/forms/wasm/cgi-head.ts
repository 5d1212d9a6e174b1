// The first lines of what a CGI program writes: header fields until a blank line (RFC 3875, section 6). `Status: 404 Not
// Found` is the status, `Location` without one makes it 302. Invariant: what is no header is a BadResponse that quotes it,
// since most often the program has printed its text without any. Used by output.ts.
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import { BadResponse } from '../../failure.ts';

const LINE_FEED = 0x0a;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** What HTTP allows in a value: no control characters but the tab. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const QUOTED_MAX = 60;

/** undefined: more is to come. `complete`: nothing is; the end then ends the head. */
export function parseHead(all: Buffer, complete: boolean): { meta: ResponseMeta; bytes: number } | undefined {
  const headers: string[] = [];
  let status: number | undefined;
  let described = false;
  for (let at = 0; ;) {
    const end = all.indexOf(LINE_FEED, at);
    if (end === -1 && !(complete && at === all.length && at > 0)) return undefined;
    const line = all.toString('latin1', at, end === -1 ? at : end).replace(/\r$/, '');
    at = end === -1 ? at : end + 1;
    if (line === '') {
      if (headers.length === 0 && status === undefined) throw noHeader('');
      if (!described)
        throw new BadResponse('its headers have none of Content-Type, Location and Status; print one of them before the blank line');
      return { meta: { status: status ?? (hasLocation(headers) ? 302 : 200), headers }, bytes: at };
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1).trim();
    if (!TOKEN.test(name)) throw noHeader(line);
    if (!VALUE.test(value)) throw new BadResponse(`its header '${name}' has a character that HTTP does not allow`);
    const lower = name.toLowerCase();
    described ||= lower === 'content-type' || lower === 'location' || lower === 'status';
    if (lower !== 'status') headers.push(name, value);
    else status = statusOf(value);
  }
}

function statusOf(value: string): number {
  const status = Number(/^(\d{3})(?:\s|$)/.exec(value)?.[1]);
  if (status >= 200 && status <= 599) return status;
  throw new BadResponse(`its Status is '${value.slice(0, QUOTED_MAX)}'; expected a number from 200 to 599, such as "404 Not Found"`);
}

function hasLocation(headers: string[]): boolean {
  return headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'location');
}

function noHeader(line: string): BadResponse {
  const what = line === '' ? 'a blank line' : `'${line.slice(0, QUOTED_MAX)}'`;
  return new BadResponse(
    `its stdout begins with ${what}, which is no header; print e.g. "Content-Type: text/plain" and a blank line first`,
  );
}
