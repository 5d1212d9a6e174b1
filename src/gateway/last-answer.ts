// Connections of HTTP/1 that end with the answer at hand: what is refused in the middle of a connection may have been framed by
// its sender to look like two requests. node:http parses on, and would hand out what follows in the same packet.
// Invariant: after an answer with `Connection: close` of ours no further request of the connection reaches anything.
import { IncomingMessage } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const LAST = Symbol('last answer');

type Marked = Socket & { [LAST]?: true };

export function markLast({ req }: ServerResponse): void {
  // The requests of HTTP/2 are of another class, and their connection stays.
  if (req instanceof IncomingMessage) (req.socket as Marked)[LAST] = true;
}

export function comesTooLate(request: IncomingMessage): boolean {
  return (request.socket as Marked)[LAST] === true;
}
