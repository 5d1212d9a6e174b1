// A client's side of the wire, raw: frames as lawful or as wrong as a test wants them, and a socket that speaks them.
// Invariant: what is set up goes with `await using`. Used by the tests of this folder.
import { once } from 'node:events';
import { connect } from 'node:net';

const MASK = Buffer.from([0x12, 0x34, 0x56, 0x78]);
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

export function masked(
  opcode: number,
  payload: Uint8Array | string,
  { fin = true, rsv = 0 }: { fin?: boolean; rsv?: number } = {},
): Buffer {
  const bytes = Buffer.from(payload as Uint8Array);
  const { length } = bytes;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header[0] = (fin ? 0x80 : 0) | rsv | opcode;
  header[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (header.length === 4) header.writeUInt16BE(length, 2);
  else if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
  for (let i = 0; i < length; i++) bytes[i]! ^= MASK[i & 3]!;
  return Buffer.concat([header, MASK, bytes]);
}

export interface ServerFrame {
  opcode: number;
  compressed: boolean;
  payload: Buffer;
}

/** A handshake by hand; then bytes out, frames in. */
export async function rawClient(port: number, path: string, headers: Record<string, string> = {}) {
  const socket = connect(port, '127.0.0.1');
  const lines = Object.entries({
    Host: 'p.localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': KEY,
    'Sec-WebSocket-Version': '13',
    ...headers,
  });
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  let data: Buffer = Buffer.alloc(0);
  let ended = false;
  let more = Promise.withResolvers<void>();
  const changed = (): void => {
    more.resolve();
    more = Promise.withResolvers();
  };
  socket.on('data', (chunk: Buffer) => {
    data = Buffer.concat([data, chunk]);
    changed();
  });
  socket.on('close', () => {
    ended = true;
    changed();
  });
  socket.on('error', () => {});
  while (!data.includes('\r\n\r\n') && !ended) await more.promise;
  const end = data.indexOf('\r\n\r\n') + 4;
  const head = data.subarray(0, end).toString();
  data = data.subarray(end);
  return {
    socket,
    head,
    /** The next frame; undefined: the connection ended. */
    async frame(): Promise<ServerFrame | undefined> {
      for (;;) {
        const found = frameAt(data);
        if (found !== undefined) {
          data = data.subarray(found.end);
          return found.frame;
        }
        if (ended) return undefined;
        await more.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
      if (!ended) await once(socket, 'close');
    },
  };
}

function frameAt(data: Buffer): { frame: ServerFrame; end: number } | undefined {
  if (data.length < 2) return undefined;
  const short = data[1]!;
  const at = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (data.length < at) return undefined;
  const length = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
  if (data.length < at + length) return undefined;
  const frame = { opcode: data[0]! & 0x0f, compressed: (data[0]! & 0x40) !== 0, payload: data.subarray(at, at + length) };
  return { frame, end: at + length };
}
