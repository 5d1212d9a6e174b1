// Looks at the first bytes of a connection before anybody else does: for PROXY headers, and for what a TLS client wants.
// Invariant: what is not taken is put back, in order; a connection that says too little in time, or nonsense, is closed.
import type { Socket } from 'node:net';

/** How many bytes to take away (0: it was only looked at), that more are needed, or that they make no sense. */
export type Taken = number | 'more' | 'malformed';

export function readFirst(socket: Socket, timeoutMs: number, take: (bytes: Buffer) => Taken, then: () => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const late = setTimeout(() => socket.destroy(), timeoutMs);
  const stop = (): void => {
    clearTimeout(late);
    socket.off('readable', look).off('end', gone).off('close', stop).off('error', ignore);
  };
  const gone = (): void => {
    stop();
    socket.on('error', ignore);
    socket.destroy();
  };
  const look = (): void => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    if (bytes.length === 0) return;
    const taken = take(bytes);
    if (taken === 'more') return;
    if (taken === 'malformed') {
      gone();
      return;
    }
    stop();
    if (taken < bytes.length) socket.unshift(bytes.subarray(taken));
    then();
  };
  socket.on('readable', look).on('end', gone).on('close', stop).on('error', ignore);
}

/** 'close' follows. */
function ignore(): void {}
