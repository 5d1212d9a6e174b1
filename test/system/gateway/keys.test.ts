// API keys of a project: made, used, rotated, revoked and limited, through the CLI and over HTTP.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: shop
gateway:
  auth:
    partners: {keys: {}}
    strict: {keys: {from: [header:x-partner-key]}}
  defaults:
    auth: partners
functions:
  who:
    source: who.mjs
    http:
      - /who
      - path: /notes/{id}
        methods: [GET, PUT]
      - path: /write
        auth: {use: partners, scopes: ["notes:write"]}
      - path: /acme
        auth: {use: partners, claims: {name: [Acme, Other]}}
      - path: /strict
        auth: strict
      - path: /open
        auth: none
  py: {source: py.py, http: /py}
  lambda: {source: lambda.mjs, form: lambda, http: /lambda}
  worker: {source: worker.mjs, form: workers, http: /worker}
`,
  'who.mjs': `export default { fetch: (request, context) => Response.json({ principal: context.principal ?? null, header: request.headers.get('x-virga-principal') }) };`,
  'py.py': `import json\ndef handler(event, context):\n    return {"statusCode": 200, "body": json.dumps({"principal": context.principal, "authorizer": event["requestContext"].get("authorizer")})}\n`,
  'lambda.mjs': `export const handler = async (event) => event.requestContext.authorizer;`,
  'worker.mjs': `export default { fetch: (request) => new Response(Buffer.from(request.headers.get('x-virga-principal') ?? '', 'base64url')) };`,
};

interface Key {
  id: string;
  key: string;
  lastUsedAt: string | null;
}

let virga: Virga;
let acme: Key;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
  acme = await made('--name', 'Acme', '--scopes', 'notes:read,notes:list', '--plan', 'free');
});
after(() => virga[Symbol.asyncDispose]());

async function keys(...args: string[]) {
  return await virga.cli(['keys', ...args, '--project', 'shop', '--json']);
}

async function made(...args: string[]): Promise<Key> {
  const created = await keys('create', ...args);
  assert.equal(created.code, 0, created.stderr);
  return created.json<Key>();
}

async function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const answer = await virga.fetch('shop', path, { method, headers });
  const text = await answer.text();
  const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), text, body };
}

const withKey = ({ key }: Pick<Key, 'key'>) => ({ 'x-api-key': key });

test('without a key, and with one that is none, the answer is 401 with what is asked for', async () => {
  const none = await ask('/who');
  assert.deepEqual([none.status, none.challenge], [401, 'ApiKey realm="shop", header="x-api-key"']);
  assert.match(none.text, /"code":"caller_unknown"/);
  const cases = [
    { 'x-api-key': 'abc' },
    { 'x-api-key': `${acme.key.slice(0, -1)}${acme.key.endsWith('0') ? '1' : '0'}` },
    { 'x-api-key': `vk_0000000000_${acme.key.slice(14)}` },
    { authorization: 'Bearer abc' },
  ];
  for (const headers of cases) {
    const wrong = await ask('/who', headers);
    assert.equal(wrong.status, 401);
    assert.match(wrong.challenge ?? '', /^ApiKey realm="shop", header="x-api-key", error="invalid_token", error_description="/);
    assert.doesNotMatch(wrong.text + wrong.challenge, new RegExp(acme.key.slice(14, 30)));
  }
  const mistyped = await ask('/who', cases[1]);
  assert.match(mistyped.text, /was not copied well/);
});

test('a key is known from its header or as a bearer token, and the function learns who calls', async () => {
  const principal = { kind: 'key', id: acme.id, scopes: ['notes:read', 'notes:list'], claims: { name: 'Acme' }, plan: 'free' };
  for (const headers of [withKey(acme), { authorization: `Bearer ${acme.key}` }] as Record<string, string>[]) {
    const answer = await ask('/who', { ...headers, 'x-virga-principal': 'forged' });
    assert.deepEqual([answer.status, answer.body], [200, { principal, header: null }]);
  }
  const python = await ask('/py', withKey(acme));
  const authorizer = { lambda: { name: 'Acme', principalId: acme.id, usageIdentifierKey: 'free', scopes: 'notes:read notes:list' } };
  assert.deepEqual(JSON.parse(python.text), { principal, authorizer });
  assert.deepEqual(JSON.parse((await ask('/lambda', withKey(acme))).text), authorizer);
  assert.deepEqual(JSON.parse((await ask('/worker', { ...withKey(acme), 'x-virga-principal': 'e30' })).text), principal);
});

test('a route may take keys elsewhere, or ask nobody', async () => {
  assert.equal((await ask('/strict', withKey(acme))).status, 401);
  assert.equal((await ask('/strict', { authorization: `Bearer ${acme.key}` })).status, 401);
  assert.equal((await ask('/strict', { 'x-partner-key': acme.key })).status, 200);
  const open = await ask('/open', { 'x-virga-principal': 'forged' });
  assert.deepEqual([open.status, open.body], [200, { principal: null, header: null }]);
});

test('a known key that lacks a scope or a claim gets 403', async () => {
  const lacking = await ask('/write', withKey(acme));
  assert.deepEqual([lacking.status, (lacking.body['error'] as { code: string }).code], [403, 'caller_not_allowed']);
  assert.match(lacking.challenge ?? '', /error="insufficient_scope", .*scope="notes:write"/);
  const writer = await made('--scopes', 'notes:write');
  assert.equal((await ask('/write', withKey(writer))).status, 200);
  assert.equal((await ask('/acme', withKey(acme))).status, 200);
  assert.equal((await ask('/acme', withKey(writer))).status, 403);
});

test('a key may be held to routes', async () => {
  const reader = await made('--routes', 'GET /notes/{id}');
  assert.equal((await ask('/notes/7', withKey(reader))).status, 200);
  assert.equal((await ask('/notes/7', withKey(reader), 'HEAD')).status, 200);
  assert.equal((await ask('/notes/7', withKey(reader), 'PUT')).status, 403);
  assert.equal((await ask('/who', withKey(reader))).status, 403);
});

test('a rotated key has two secrets for a while, a revoked one none at once', async () => {
  const first = await made();
  const rotated = (await keys('rotate', first.id, '--grace', '1h')).json<Key & { previousUntil: string }>();
  assert.equal(rotated.id, first.id);
  assert.ok(Math.abs(Date.parse(rotated.previousUntil) - Date.now() - 3_600_000) < 60_000);
  for (const { key } of [first, rotated]) assert.equal((await ask('/who', { 'x-api-key': key })).status, 200);
  const again = (await keys('rotate', first.id, '--grace', '0s')).json<Key>();
  assert.deepEqual(
    await Promise.all([first, rotated, again].map(async ({ key }) => (await ask('/who', { 'x-api-key': key })).status)),
    [401, 401, 200],
  );
  assert.equal((await keys('revoke', first.id)).code, 0);
  assert.equal((await ask('/who', withKey(again))).status, 401);
  const twice = await keys('revoke', first.id);
  assert.deepEqual([twice.code, /has no API key/.test(twice.stderr)], [1, true]);
});

test('a key that has expired is refused', async () => {
  const short = await made('--expires', '1ms');
  const answer = await ask('/who', withKey(short));
  assert.deepEqual([answer.status, /has expired/.test(answer.text)], [401, true]);
});

test('a list shows the keys without their secrets, and nothing of a secret is stored or logged', async () => {
  const listed = await keys('list');
  assert.ok(listed.json<Key[]>().some(({ id }) => id === acme.id));
  assert.doesNotMatch(listed.stdout, new RegExp(acme.key.slice(14)));
  assert.doesNotMatch(virga.log(), new RegExp(acme.key.slice(14)));
});

test('keys of another project open nothing', async () => {
  const other = await virga.deploy({ ...PROJECT, 'virga.yaml': PROJECT['virga.yaml'].replace('project: shop', 'project: other') });
  assert.equal(other.code, 0, other.stderr);
  const answer = await virga.fetch('other', '/who', { headers: withKey(acme) });
  assert.equal(answer.status, 401);
});

test('a key is held to its usage plan, and keys without one are not', async () => {
  const metered = `project: metered\ngateway:\n  plans: {small: {quota: {limit: 2, per: day}}}\n  auth: {partners: {keys: {}}}\n  defaults: {auth: partners}\nfunctions:\n  who: {source: who.mjs, http: /who}\n`;
  const deployed = await virga.deploy({ ...PROJECT, 'virga.yaml': metered });
  assert.equal(deployed.code, 0, deployed.stderr);
  const make = async (...args: string[]) => (await virga.cli(['keys', 'create', '--project', 'metered', '--json', ...args])).json<Key>();
  const [small, free] = [await make('--plan', 'small'), await make()];
  const statuses = async (key: Key) => {
    const found: number[] = [];
    for (let i = 0; i < 3; i++) found.push((await virga.fetch('metered', '/who', { headers: withKey(key) })).status);
    return found;
  };
  assert.deepEqual(
    [await statuses(small), await statuses(free)],
    [
      [200, 200, 429],
      [200, 200, 200],
    ],
  );
});

test('wrong use of the command is refused with what would be right', async () => {
  const cases: [string[], RegExp][] = [
    [['creat'], /there is no action 'creat'.*did you mean 'create'/],
    [['revoke'], /which key\?/],
    [['revoke', acme.key], /never by the whole key/],
    [['list', '--grace', '1h'], /--grace is for `virga keys rotate`/],
    [['create', '--expires', 'soon'], /expires.*must be a duration such as 90d/],
    [['create', '--routes', 'FETCH /x'], /routes.*must be a route as it is declared/],
  ];
  for (const [args, said] of cases) {
    const wrong = await keys(...args);
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, said);
  }
});

test('names and rules that are not there are refused at deploy, with their place and what was meant', async () => {
  const deploy = async (auth: string, section = '{partners: {keys: {}}}') =>
    await virga.deploy({
      ...PROJECT,
      'virga.yaml': `project: shop\ngateway:\n  auth: ${section}\nfunctions:\n  who:\n    source: who.mjs\n    http:\n      - path: /\n        auth: ${auth}\n`,
    });
  const cases: [string, RegExp][] = [
    ['partner', /virga\.yaml:9:15.*no authenticator of this name; did you mean 'partners'/],
    ['{any: [partners, users]}', /virga\.yaml:9:\d+: functions\.who\.http\[0\]\.auth\.any\[1\] is \\"users\\"/],
    ['{use: partners, scope: [a]}', /has no key 'scope'; did you mean 'scopes'/],
    ['{use: partners, any: [partners]}', /use and any say two things/],
    ['{scopes: [a]}', /one of use, any, all, certificate, keys, jwt, webhook, authorizer is missing/],
    ['{keys: {from: [body:x]}}', /expected a place in the request: bearer/],
    ['{any: [{all: [{any: [{all: [partners]}]}]}]}', /auth\.any/],
    ['{authorizer: {function: whom}}', /the project has no function of this name; did you mean 'who'/],
  ];
  for (const [auth, said] of cases) {
    const wrong = await deploy(auth);
    assert.equal(wrong.code, 1, auth);
    assert.match(wrong.stderr, said);
  }
  assert.match((await deploy('none', '{none: {keys: {}}}')).stderr, /another name/);
  assert.match(
    (await deploy('none', '{both: {keys: {}, jwt: {issuer: "https://a.example", audience: b}}}')).stderr,
    /keys and jwt are two authenticators/,
  );
});
