import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { issuerFetch } from './issuer-fetch.ts';

const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url!);
  if (request.url === '/keys') response.end('{"keys":[]}');
  else if (request.url === '/large') response.end(JSON.stringify('x'.repeat(600_000)));
  else if (request.url === '/text') response.end('keys');
  else response.writeHead(302, { location: '/keys' }).end();
});
let port: number;
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

test('an address that is not public is refused before anything is sent, however it is spelt', async () => {
  const fetch = issuerFetch([]);
  for (const host of [
    '127.0.0.1',
    'localhost',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '0177.0.0.1',
    '2130706433',
    '127.1',
    '0.0.0.0',
    '[64:ff9b:1::1]',
  ])
    await assert.rejects(fetch(`http://${host}:${port}/keys`), /VIRGA_ISSUERS_PRIVATE/, host);
  for (const host of ['169.254.169.254', '10.0.0.1', '192.168.1.1', '[fd00::1]', '[fe80::1]', '168.63.129.16'])
    await assert.rejects(fetch(`https://${host}/keys`), /VIRGA_ISSUERS_PRIVATE/, host);
  assert.deepEqual(asked, []);
});

test('only what the operator opened is fetched, and a public address never in plain text', async () => {
  const fetch = issuerFetch(['127.0.0.1/32']);
  assert.deepEqual(await fetch(`http://127.0.0.1:${port}/keys`), { keys: [] });
  await assert.rejects(fetch('http://10.0.0.1/keys'), /which is private/);
  await assert.rejects(fetch('http://203.0.114.9/keys'), /plain http/);
});

test('no redirect is followed, and what is too large or no JSON is refused', async () => {
  const fetch = issuerFetch(['127.0.0.0/8']);
  asked.length = 0;
  await assert.rejects(fetch(`http://127.0.0.1:${port}/elsewhere`), /it answered 302/);
  assert.deepEqual(asked, ['/elsewhere']);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/large`), /more than 524288 bytes/);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/text`), /not JSON/);
});
