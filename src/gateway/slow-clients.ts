// Whether a client holds a call up: it owes bytes of its request's body, or does not take those of its answer, and moves less
// than it must for too long. A function that is slow itself, and a body that nobody reads for now, are not the client's fault.
// Invariant: judged by what moved on the connection, in windows of slowClientMs. Called by connections.ts at each sweep.
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

export interface SlowLimits {
  slowClientMs: number;
  /** 0: as slow as it likes. */
  slowClientBytesPerSecond: number;
}

/** When the client was first found to hold something up, and how much had moved by then; sinceMs -1: it does not. */
export interface Pace {
  sinceMs: number;
  moved: number;
}

export function newPace(): Pace {
  return { sinceMs: -1, moved: 0 };
}

interface Look {
  now: number;
  limits: SlowLimits;
}

export function isTooSlow(socket: Socket, { req: request }: ServerResponse, pace: Pace, look: Look): boolean {
  const owes = !request.complete && request.readableFlowing === true && !request.isPaused();
  // Of a write under way, what the kernel has not taken; each byte that leaves counts at least once.
  const { writeQueueSize = 0 } = (Reflect.get(socket, '_handle') ?? {}) as { writeQueueSize?: number };
  const waiting = socket.writableLength + writeQueueSize;
  return judge(owes || waiting > 0, socket.bytesRead + socket.bytesWritten - waiting, pace, look);
}

/** Of HTTP/2: what its window lets through shows in what waits; bodies are measured on their connection. */
export function isTooSlowStream(stream: ServerHttp2Stream, pace: Pace, look: Look): boolean {
  const owes = !stream.readableEnded && stream.readableFlowing === true && !stream.isPaused();
  const waiting = stream.writableLength;
  if (waiting === 0) return judge(owes, stream.session?.socket.bytesRead ?? 0, pace, look);
  if (pace.sinceMs >= 0 && pace.moved === -waiting) return look.limits.slowClientBytesPerSecond > 0 && isOver(pace, look);
  pace.sinceMs = look.now;
  pace.moved = -waiting;
  return false;
}

function judge(holdsUp: boolean, moved: number, pace: Pace, look: Look): boolean {
  if (!holdsUp) {
    pace.sinceMs = -1;
    return false;
  }
  if (pace.sinceMs < 0 || pace.moved < 0) {
    pace.sinceMs = look.now;
    pace.moved = moved;
    return false;
  }
  if (!isOver(pace, look)) return false;
  const wanted = (look.limits.slowClientBytesPerSecond * (look.now - pace.sinceMs)) / 1_000;
  if (moved - pace.moved < wanted) return true;
  pace.sinceMs = look.now;
  pace.moved = moved;
  return false;
}

function isOver(pace: Pace, { now, limits }: Look): boolean {
  return now - pace.sinceMs >= limits.slowClientMs;
}
