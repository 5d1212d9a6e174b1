// The yardstick: the same answer from bare node:http, with nothing around it.
import { createServer } from 'node:http';

const headers = { 'content-type': 'text/plain', 'content-length': '5' };
const server = createServer((_request, response) => {
  response.writeHead(200, headers);
  response.end('hello');
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), '127.0.0.1');
