// Everybody in a room hears what anybody says, with `ws`. Instances know nothing of each other, so a room is one instance's.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const server = createServer((request, response) => response.end('say it over a WebSocket'));
const sockets = new WebSocketServer({ server, path: '/chat', handleProtocols: (offered) => (offered.has('chat.v1') ? 'chat.v1' : false) });

sockets.on('connection', (socket, request) => {
  const room = new URL(request.url, 'http://chat').searchParams.get('room') ?? 'lobby';
  socket.room = room;
  console.log(`somebody entered ${room}`);
  socket.on('message', (bytes, isBinary) => {
    for (const other of sockets.clients) if (other.room === room && other.readyState === 1) other.send(bytes, { binary: isBinary });
  });
  socket.on('close', (code) => console.log(`somebody left ${room} with ${code}`));
});

server.listen(process.env.PORT);

process.on('SIGTERM', () => {
  for (const socket of sockets.clients) socket.close(1001, 'going away');
  server.close(() => process.exit(0));
});
