// DNS over TCP (RFC 7766) on a connection of a sandbox: queries with their length in front, answered one after another.
// Invariant: one query is held at a time; a connection that says nothing for IDLE_MS is closed. Caller: namespace.ts.
import type { Socket } from 'node:net';

const IDLE_MS = 10_000;

export function serveDnsOverTcp(socket: Socket, answer: (query: Buffer) => Promise<Buffer | null>): void {
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  void serve(socket, answer).catch(() => socket.destroy());
}

async function serve(socket: Socket, answer: (query: Buffer) => Promise<Buffer | null>): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      const given = await answer(rest.subarray(2, end));
      rest = rest.subarray(end);
      if (given === null) throw new Error('it is no query');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(given.length);
      if (!socket.write(Buffer.concat([length, given])))
        await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve));
    }
  }
  socket.end();
}
