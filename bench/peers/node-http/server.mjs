// The yardstick: the same answers from bare node:http, with nothing around them.
import { createServer } from 'node:http';

const headers = { 'content-type': 'text/plain', 'content-length': '5' };
const server = createServer((request, response) => {
  if (request.method === 'POST') {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length });
      response.end(body);
    });
    return;
  }
  response.writeHead(200, headers);
  response.end('hello');
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), '127.0.0.1');
