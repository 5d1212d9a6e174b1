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
    http:
      - GET /notes/{id}
      - GET /search
      - {path: /search, query: {engine: new}}
      - path: /api/{rest+}
        rewrite: {path: "/notes/{rest}", setQuery: {from: api}, removeQuery: [debug]}
        response: {setHeaders: {x-frame-options: DENY}, removeHeaders: [x-powered-by]}
  second:
    source: second.mjs
    http:
      - {path: /search, methods: [GET], headers: {x-version: "2"}}
      - {path: /search, methods: [GET], headers: {x-version: "2*"}}
      - {path: /search, methods: [GET], headers: {x-version: "2"}, hosts: [beta.paths.test]}
`,
  'second.mjs': `export default { fetch: () => new Response('second') };`,
  'notes.mjs': `export default { fetch: (request) => new Response(request.url, { headers: { 'x-powered-by': 'notes' } }) };`,
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

test('routes of one path differ by what they ask for', async () => {
  const ask = async (query: string, headers: Record<string, string> = {}) =>
    await (await virga.fetch('paths', `/search${query}`, { headers })).text();
  assert.match(await ask(''), /\/search$/);
  assert.match(await ask('?engine=new'), /engine=new$/);
  assert.equal(await ask('', { 'x-version': '2' }), 'second');
  assert.equal(await ask('?engine=old', { 'x-version': '2.5' }), 'second');
  assert.match(await ask('', { 'x-version': '3' }), /\/search$/);
});

test('routes are listed with what they lead to, ask for, and the rules that hold', async () => {
  const listed = (await virga.cli(['routes', '-p', 'paths', '--json'])).json<Record<string, unknown>[]>();
  assert.deepEqual(
    listed.find(({ path, methods }) => path === '/search' && methods === null),
    {
      path: '/search',
      methods: null,
      function: 'notes',
      conditions: { query: { engine: 'new' } },
      target: 'function notes',
      rules: ['cors'],
    },
  );
  assert.equal(listed.length, 8);
  const { stdout } = await virga.cli(['routes', '-p', 'paths']);
  assert.match(stdout, /\* +GET +\/old\/\{id\} +redirect to \/notes\/\{id\} +cors/);
  assert.match(stdout, /beta\.paths\.test +GET +\/search +function second +header x-version: 2 +cors/);
});

test('two routes that ask for the same are refused, in whatever order they say it', async () => {
  const yaml = PROJECT['virga.yaml'].replace(
    '- GET /search',
    '- GET /search\n      - {path: /search, methods: [GET], headers: {x-version: "2"}}',
  );
  const { stderr } = await virga.deploy({ ...PROJECT, 'virga.yaml': yaml });
  assert.match(stderr, /virga\.yaml:\d+:\d+: the route GET \/search \(header x-version: 2\) is already taken by 'notes' in line 16/);
  const wrong = await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('"2*"', '2') });
  assert.match(wrong.stderr, /headers\.x-version is 2; expected a text, .* a number goes in quotes/);
});

test('a function sees the request, and a client the answer, as the route rewrites them', async () => {
  const answer = await virga.fetch('paths', '/api/a/b?debug=1&x=%20');
  assert.match(await answer.text(), /\/notes\/a\/b\?x=%20&from=api$/);
  assert.deepEqual([answer.headers.get('x-frame-options'), answer.headers.get('x-powered-by')], ['DENY', null]);
  const wrong = async (rules: string) =>
    (await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('rewrite: {path: "/notes/{rest}"', rules) })).stderr;
  assert.match(
    await wrong('rewrite: {path: "/notes/{tail}"'),
    /virga\.yaml:18:\d+: '\{tail\}' is no parameter of the path \/api\/\{rest\+\}/,
  );
  assert.match(await wrong('rewrite: {setHeaders: {x-a: "a\\r\\nb"}'), /setHeaders\.x-a is .*expected a text of printable ASCII/);
  assert.match(await wrong('rewrite: {setHeaders: {content-length: "1"}'), /content-length is Virga's to say/);
  assert.match(await wrong('rewrite: {path: "notes"'), /expected a path such as \/v2\/\{rest\}/);
});
