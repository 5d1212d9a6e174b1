// Where requests go: routes without a function, conditions, rewriting, against a deployed project.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: paths
gateway:
  defaults:
    cors: {origins: [https://app.example.com]}
  routes:
    - path: /old/{id}
      methods: [GET]
      redirect: {to: "/notes/{id}", status: 308}
functions:
  notes:
    source: notes.mjs
    http: GET /notes/{id}
`,
  'notes.mjs': `export default { fetch: (request) => new Response(request.url) };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

test('a redirect is answered at the gateway, below the project, with the rules of the route', async () => {
  const answer = await virga.fetch('paths', '/old/7?a=1', { redirect: 'manual', headers: { origin: 'https://app.example.com' } });
  assert.deepEqual([answer.status, answer.headers.get('location')], [308, '/@paths/notes/7?a=1']);
  assert.equal(answer.headers.get('access-control-allow-origin'), 'https://app.example.com');
  const followed = await virga.fetch('paths', '/old/7?a=1');
  assert.match(await followed.text(), /\/notes\/7\?a=1$/);
  assert.equal((await virga.fetch('paths', '/old/7', { method: 'POST' })).status, 405);
});

test('a redirect that whoever makes the link could aim is refused where it stands', async () => {
  const wrong = async (redirect: string) =>
    (await virga.deploy({ 'virga.yaml': `project: other\ngateway:\n  routes:\n    - path: /x/{id}\n      ${redirect}\nfunctions: {}\n` }))
      .stderr;
  assert.match(
    await wrong('redirect: {to: "{id}"}'),
    /virga\.yaml:5:\d+: gateway\.routes\[0\]\.redirect\.to is .*a parameter cannot begin it/,
  );
  assert.match(await wrong('redirect: {to: "https://{id}/x"}'), /a parameter cannot stand in the host/);
  assert.match(await wrong('redirect: {to: "//evil.example"}'), /names another host/);
  assert.match(await wrong('redirect: {to: "/new/{name}"}'), /virga\.yaml:5:\d+: '\{name\}' is no parameter of the path/);
  assert.match(await wrong('redirekt: {to: "/new"}'), /gateway\.routes\[0\] has no key 'redirekt'; did you mean 'redirect'/);
  assert.match(await wrong('methods: [GET]'), /it leads nowhere; give it one target/);
});
