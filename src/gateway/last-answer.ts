// Connections of HTTP/1 that end with the answer at hand: what is refused in the middle of a connection may have been framed by
// its sender to look like two requests. node:http parses on, and would hand out what follows in the same packet.
// Invariant: after an answer with `Connection: close` of ours no further request of the connection reaches anything, and what the
// client still sends is read and dropped for a second: closed with bytes unread, the connection would be reset, and the answer
// lost on its way. Callers: respond.ts, doors/http-servers.ts, accept.ts, upgrades.ts.
import { IncomingMessage } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const LAST = Symbol('last answer');
const CLOSE_WITHIN_MS = 1_000;

type Marked = Duplex & { [LAST]?: true };

export function markLast({ req }: ServerResponse): void {
  // The requests of HTTP/2 are of another class, and their connection stays.
  if (!(req instanceof IncomingMessage)) return;
  const socket: Socket & { [LAST]?: true } = req.socket;
  socket[LAST] = true;
  // What node:http calls after an answer with `Connection: close`.
  socket.destroySoon = () => endWithLast(socket);
}

/** Says that no more will come, and leaves the client its time to read. Of HTTP/1, whose parser is fed on. */
export function endWithLast(socket: Duplex, answer?: string): void {
  (socket as Marked)[LAST] = true;
  socket.end(answer);
  const cut = setTimeout(() => socket.destroy(), CLOSE_WITHIN_MS);
  socket.on('close', () => clearTimeout(cut));
}

export function comesTooLate(request: IncomingMessage): boolean {
  return isLast(request.socket);
}

export function isLast(socket: Duplex): boolean {
  return (socket as Marked)[LAST] === true;
}
