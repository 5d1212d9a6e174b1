// A process that holds idle WebSockets, by hand on plain sockets, so that the client costs little: `node idle-sockets.ts PORT PATH`;
// a number of a line on stdin opens so many more, and the line `open` comes once all are. Ends with its stdin.
// Caller: sockets.ts.
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [port, path] = [Number(process.argv[2]), process.argv[3]!];
const AT_ONCE = 64;
const HANDSHAKE = [
  `GET ${path} HTTP/1.1`,
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Accept-Language: en-US,en;q=0.5',
  'Cookie: session=0123456789abcdef0123456789abcdef',
  '\r\n',
].join('\r\n');

function open(): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('a connection was closed')));
  socket.once('data', (data: Buffer) => {
    if (!data.includes(' 101 ')) return reject(new Error(data.toString()));
    // A ping (0x89) of the gateway wants its pong: masked, empty.
    socket.on('data', (frame: Buffer) => {
      if (frame[0] === 0x89) socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]));
    });
    resolve();
  });
  socket.write(HANDSHAKE);
  return promise;
}

for await (const line of createInterface({ input: process.stdin })) {
  let left = Number(line);
  const worker = async (): Promise<void> => {
    while (left-- > 0) await open();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  console.log('open');
}
process.exit(0);
