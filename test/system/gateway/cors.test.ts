// CORS as browsers ask for it: preflights and simple requests, against a deployed project.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: pages
gateway:
  defaults:
    cors: {origins: [https://app.example.com, "https://*.preview.example.com", "http://localhost:80"], credentials: true, expose: [etag], maxAge: 1m}
functions:
  notes:
    source: notes.mjs
    http:
      - GET /notes
      - path: /notes
        methods: [POST]
      - path: /open
        methods: [GET]
        cors: {origins: ["*"], headers: [x-token], methods: [GET]}
      - path: /own
        cors: false
`,
  'notes.mjs': `export default { fetch: (request) => new Response(request.method, { headers: { vary: 'accept', 'access-control-allow-origin': 'https://function.example' } }) };`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

const ask = async (path: string, method: string, headers: Record<string, string>) => {
  const answer = await fetch(`${virga.edgeUrl}/@pages${path}`, { method, headers });
  return { status: answer.status, headers: answer.headers, body: await answer.text() };
};
const preflight = async (path: string, origin: string, method: string) =>
  await ask(path, 'OPTIONS', { origin, 'access-control-request-method': method, 'access-control-request-headers': 'content-type' });

test('a preflight is answered at the gateway with what the page may do', async () => {
  const { status, headers, body } = await preflight('/notes', 'https://app.example.com', 'POST');
  assert.deepEqual([status, body], [204, '']);
  assert.equal(headers.get('access-control-allow-origin'), 'https://app.example.com');
  assert.equal(headers.get('access-control-allow-credentials'), 'true');
  assert.equal(headers.get('access-control-allow-methods'), 'GET, HEAD, POST, OPTIONS');
  assert.equal(headers.get('access-control-allow-headers'), 'content-type');
  assert.equal(headers.get('access-control-max-age'), '60');
  assert.deepEqual(headers.get('vary')?.split(', ').toSorted(), [
    'access-control-request-headers',
    'access-control-request-method',
    'origin',
  ]);
});

test('an origin that is not allowed gets the answer without the permission', async () => {
  for (const origin of [
    'https://evil.example',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'https://preview.example.com',
    'null',
  ]) {
    const asked = await preflight('/notes', origin, 'POST');
    assert.deepEqual([asked.status, asked.headers.get('access-control-allow-origin')], [204, null], origin);
    const answered = await ask('/notes', 'GET', { origin });
    assert.deepEqual([answered.status, answered.headers.get('access-control-allow-origin')], [200, null], origin);
  }
});

test('names below *. are allowed, and the usual port need not be said', async () => {
  for (const origin of ['https://a.preview.example.com', 'https://a.b.preview.example.com', 'http://localhost']) {
    const { headers } = await ask('/notes', 'GET', { origin });
    assert.equal(headers.get('access-control-allow-origin'), origin);
    assert.equal(headers.get('access-control-expose-headers'), 'etag');
    assert.equal(headers.get('vary'), 'accept, origin');
  }
});

test('errors carry the permission too, so that pages can read them', async () => {
  const { status, headers } = await ask('/notes', 'GET', { origin: 'https://app.example.com', 'content-length': '0' });
  assert.deepEqual([status, headers.get('access-control-allow-origin')], [200, 'https://app.example.com']);
});

test('a route may have rules of its own, or none: then the function speaks for itself', async () => {
  const open = await preflight('/open', 'https://anybody.example', 'GET');
  assert.equal(open.headers.get('access-control-allow-origin'), '*');
  assert.equal(open.headers.get('access-control-allow-headers'), 'x-token');
  assert.equal(open.headers.get('access-control-allow-methods'), 'GET');
  const own = await preflight('/own', 'https://anybody.example', 'GET');
  assert.deepEqual([own.status, own.body, own.headers.get('access-control-allow-origin')], [200, 'OPTIONS', 'https://function.example']);
});

test('rules that no browser would accept, or that are misspelt, are refused with their place', async () => {
  const wrong = async (cors: string) =>
    await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: pages\nfunctions:\n  notes:\n    source: notes.mjs\n    http:\n      - path: /\n        cors: ${cors}\n`,
    });
  const both = await wrong('{origins: ["*"], credentials: true}');
  assert.match(both.stderr, /virga\.yaml:7:\d+.*credentials is what no browser accepts/);
  assert.equal(both.code, 1);
  const misspelt = await wrong('{origin: ["*"]}');
  assert.match(misspelt.stderr, /cors has no key 'origin'.*did you mean 'origins'/);
  const badOrigin = await wrong('{origins: [app.example.com]}');
  assert.match(badOrigin.stderr, /cors\.origins\[0\] is \\"app\.example\.com\\"; expected an origin such as https:\/\/app\.example\.com/);
});

test('a deploy tells what changed of the gateway, without its values', async () => {
  const deployed = await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('maxAge: 1m', 'maxAge: 2m') });
  const { changes } = deployed.json<{ changes: { kind: string; detail: string[] }[] }>();
  assert.deepEqual(changes.find(({ kind }) => kind === 'gateway')?.detail, ['defaults changed']);
  const { headers } = await preflight('/notes', 'https://app.example.com', 'POST');
  assert.equal(headers.get('access-control-max-age'), '120');
});
