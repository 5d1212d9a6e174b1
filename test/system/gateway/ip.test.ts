// Address lists: which clients may call at all.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: lists
gateway:
  defaults:
    ip: {allow: [127.0.0.0/8, "::1"]}
    auth: {keys: {}}
functions:
  f:
    source: f.mjs
    http:
      - {path: /default, auth: none}
      - {path: /elsewhere, ip: {allow: [203.0.113.0/24]}}
      - {path: /denied, auth: none, ip: {allow: [127.0.0.0/8], deny: [127.0.0.1/32, "::ffff:127.0.0.1"]}}
      - {path: /all, auth: none, ip: false}
      - {path: /pages, ip: {allow: [203.0.113.0/24]}, cors: {origins: [https://app.example.com]}}
`,
  'f.mjs': `export default { fetch: () => new Response('in') };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

test('who is not on the list gets 403, before anybody asks who it is', async () => {
  const statuses = async (path: string, headers: Record<string, string> = {}) => (await virga.fetch('lists', path, { headers })).status;
  assert.equal(await statuses('/default'), 200);
  assert.equal(await statuses('/all'), 200);
  assert.equal(await statuses('/denied'), 403);
  assert.equal(await statuses('/elsewhere', { 'x-forwarded-for': '203.0.113.7', forwarded: 'for=203.0.113.7' }), 403);
  const refused = await virga.fetch('lists', '/elsewhere');
  assert.match(await refused.text(), /"code":"address_not_allowed","message":"the address 127\.0\.0\.1 may not call this route"/);
});

test('a page can read the refusal', async () => {
  const refused = await virga.fetch('lists', '/pages', { headers: { origin: 'https://app.example.com' } });
  assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [403, 'https://app.example.com']);
});

test('what is no address is refused at deploy', async () => {
  for (const range of ['localhost', '10.0.0.0/33', '10.0.0', '::1/129', 'fe80::1%eth0']) {
    const wrong = await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: lists\nfunctions:\n  f:\n    source: f.mjs\n    http:\n      - path: /\n        ip: {allow: ["${range}"]}\n`,
    });
    assert.match(wrong.stderr, /ip\.allow\[0\] is .*; expected an address or a range, such as/);
  }
});
