// Domains of projects: proven by DNS, from a server of the test's own, or trusted; served by the Host header.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const CODE = `export default { fetch: (request) => new Response('shop ' + new URL(request.url).pathname) };`;
const project = (name: string, domains: string) => ({
  'virga.yaml': `
project: ${name}
gateway:
  domains: [${domains}]
functions:
  web:
    source: web.mjs
    http: ['/{all+}', '/']
`,
  'web.mjs': CODE.replace('shop', name),
});

let virga: Virga;
let dns: Socket;
const records = new Map<string, string>();
before(async () => {
  dns = createSocket('udp4');
  dns.on('message', (message, from) => {
    const { id, questions } = decode(message);
    const name = questions![0]!.name.toLowerCase();
    const text = records.get(name);
    const answers = text === undefined ? [] : [{ type: 'TXT' as const, name, data: text }];
    // NXDOMAIN for what is not known.
    const flags = text === undefined ? 0x8003 : 0x8000;
    dns.send(encode({ type: 'response', id, flags, questions, answers }), from.port, from.address);
  });
  dns.bind(0, '127.0.0.1');
  await once(dns, 'listening');
  virga = await startVirga({
    env: { VIRGA_DOMAIN_RESOLVERS: `127.0.0.1:${dns.address().port}`, VIRGA_DOMAINS_TRUSTED: 'corp.example.net' },
  });
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  dns.close();
});

async function ask(host: string, path = '/'): Promise<string> {
  const outgoing = request(`${virga.edgeUrl}${path}`, { headers: { host }, agent: false }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return response.statusCode === 200 ? text : `${response.statusCode}`;
}

test('a domain is served once a TXT record proves it, and belongs to one project', async () => {
  const deployed = await virga.deploy(project('shop', 'shop.example.com, "*.shop.example.com", a.corp.example.net, pay.test'));
  assert.equal(deployed.code, 0, deployed.stderr);
  assert.match(deployed.json<{ warning: string }>().warning, /2 domains are not served until/);
  assert.equal(await ask('shop.example.com'), '404');
  // No proof is needed for these.
  assert.equal(await ask('a.corp.example.net', '/x'), 'shop /x');
  assert.equal(await ask('PAY.test.:8080'), 'shop /');

  const early = await virga.cli(['domains', 'verify', 'shop.example.com', '-p', 'shop']);
  assert.equal(early.code, 1);
  assert.match(early.stderr, /'shop\.example\.com' is not proven: the TXT record _virga\.shop\.example\.com has to say 'virga=/);
  const listed = (await virga.cli(['domains', '-p', 'shop', '--json'])).json<
    { name: string; served: boolean; record: { name: string; value: string } }[]
  >();
  assert.deepEqual(
    listed.map(({ name, served }) => `${name} ${served}`),
    ['*.shop.example.com false', 'a.corp.example.net true', 'pay.test true', 'shop.example.com false'],
  );
  const { record } = listed.find(({ name }) => name === 'shop.example.com')!;
  records.set(record.name, record.value);
  const verified = await virga.cli(['domains', 'verify', 'shop.example.com', '-p', 'shop']);
  assert.equal(verified.code, 0, verified.stderr);
  assert.equal(await ask('shop.example.com', '/a?b'), 'shop /a');

  const { record: wild } = listed.find(({ name }) => name === '*.shop.example.com')!;
  records.set(wild.name, wild.value);
  assert.equal((await virga.cli(['domains', 'verify', '*.shop.example.com', '-p', 'shop'])).code, 0);
  assert.equal(await ask('eu.shop.example.com'), 'shop /');
  assert.equal(await ask('a.eu.shop.example.com'), '404');

  const second = await virga.deploy(project('thief', 'shop.example.com'));
  assert.equal(second.code, 1);
  assert.match(second.stderr, /the domain 'shop\.example\.com' belongs to project 'shop'/);
});

test('pages of a domain reach no other project through it', async () => {
  assert.equal((await virga.deploy(project('neighbour', ''))).code, 0);
  assert.equal(await ask('x.localhost', '/@neighbour/a'), 'neighbour /a');
  assert.equal(await ask('pay.test', '/@neighbour/a'), 'shop /@neighbour/a');
});

test('a domain that is given up is served no more, with its project or without', async () => {
  assert.equal(await ask('pay.test'), 'shop /');
  assert.equal((await virga.deploy(project('shop', 'shop.example.com'))).code, 0);
  assert.equal(await ask('pay.test'), '404');
  assert.equal((await virga.deploy(project('neighbour', 'pay.test'))).code, 0);
  assert.equal(await ask('pay.test'), 'neighbour /');
  assert.equal((await virga.cli(['remove', 'shop', '--yes'])).code, 0);
  assert.equal(await ask('shop.example.com'), '404');
});

test('names that could be nobody’s domain are refused where they stand', async () => {
  const { stderr } = await virga.deploy(project('wrong', '10.0.0.1, other.localhost, "https://x.example.com", example'));
  assert.match(stderr, /virga\.yaml:4:13: gateway\.domains\[0\] is .*an address is no domain/);
  assert.match(stderr, /virga\.yaml:4:23: .*that is where a project named other is served already/);
  assert.match(stderr, /virga\.yaml:4:40: .*expected a host such as api\.example\.com or \*\.example\.com/);
  assert.match(stderr, /virga\.yaml:4:65: .*one label alone is no domain/);
});
