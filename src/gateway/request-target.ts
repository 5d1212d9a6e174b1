// What of a request's target and Host is refused before anything is looked up, since the gateway, the function's `new URL()` and
// a program's file system would understand it differently. The rules are told in docs/reference/http.md.
// Invariant: what passes means the same to all three: a parameter has no control character, no `.` or `..` between slashes or
// backslashes, whichever way they were written, and begins with neither. Pure; called by route.ts for each request.
import { segmentsOf } from './route-table.ts';

/** What most paths are free of. */
const TO_LOOK_AT = /[%\\\0-\x20\x7f-\uffff]|\/\.{1,2}(?:\/|$)/;
const DOTS = /(?:^|[/\\])\.{1,2}(?:[/\\]|$)/;
/** A name of 253 characters, and a port. */
const HOST_LENGTH_MAX = 260;
const USUAL_HOST = /^(?!.*xn--)(?:[a-z0-9_-]+\.)*[a-z_][a-z0-9_-]*(?::\d{1,4})?$/i;
const HOST = /^(?:[A-Za-z0-9._~-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/;

/** The segments of a path (without its query), percent-decoded; what is wrong with it as a string. */
export function pathSegments(path: string): string[] | string {
  if (!TO_LOOK_AT.test(path)) return segmentsOf(path);
  const shown = path.slice(0, 200);
  if (path.includes('\\')) return `the path '${shown}' has a backslash in it; write it as %5C`;
  if (/[\0-\x20\x7f-\uffff]/.test(path)) return `the path '${shown}' has a character in it that has to be percent-encoded`;
  const segments = segmentsOf(path);
  for (const [index, raw] of segments.entries()) {
    const segment = decoded(raw);
    if (segment === undefined) return `the path '${shown}' has a malformed percent-encoding`;
    if (/[\0-\x1f\x7f]/.test(segment)) return `the path '${shown}' has a control character encoded in it`;
    if (DOTS.test(segment)) return `the path '${shown}' has a dot segment ('.' or '..')`;
    if (segment.startsWith('/') || segment.startsWith('\\')) return `the path '${shown}' has a segment that begins with an encoded slash`;
    segments[index] = segment;
  }
  return segments;
}

/** Whether the Host header can be the authority of a URL: no user info, no spaces, a sound address, a port that exists. */
export function isHost(host: string): boolean {
  if (host.length > HOST_LENGTH_MAX) return false;
  return USUAL_HOST.test(host) || (HOST.test(host) && URL.canParse(`http://${host}/`));
}

function decoded(segment: string): string | undefined {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
