// JSON Web Tokens of several issuers, signed by jose as an issuer would, with its keys served over HTTP.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { base64url, exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import type { CryptoKey, JWK, JWTPayload } from 'jose';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const SECRET = 'a secret that is shared with the issuer, 256 bits of it';
const FILES = {
  'who.mjs': `export default { fetch: (request, context) => Response.json(context.principal ?? null) };`,
  'lambda.mjs': `export const handler = async (event) => event.requestContext.authorizer;`,
};

interface Pair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}

/** Requests that the issuer answered, by path. */
const asked: string[] = [];
let published: JWK[] = [];
const issuer = createServer((request, response) => {
  asked.push(request.url!);
  const { port } = issuer.address() as AddressInfo;
  if (request.url === '/.well-known/openid-configuration')
    response.end(JSON.stringify({ issuer: `http://127.0.0.1:${port}`, jwks_uri: `http://127.0.0.1:${port}/keys` }));
  else if (request.url === '/keys' || request.url === '/other-keys') response.end(JSON.stringify({ keys: published }));
  else if (request.url === '/redirect') response.writeHead(302, { location: '/keys' }).end();
  else response.writeHead(404).end();
});

let virga: Virga;
let url: string;
let rsa: Pair;
let ec: Pair;
let ed: Pair;
before(async () => {
  [rsa, ec, ed] = await Promise.all([
    generateKeyPair('RS256', { extractable: true }),
    generateKeyPair('ES256', { extractable: true }),
    generateKeyPair('EdDSA', { extractable: true }),
  ]);
  published = [
    { ...(await exportJWK(rsa.publicKey)), kid: 'rsa', alg: 'RS256', use: 'sig' },
    { ...(await exportJWK(ec.publicKey)), kid: 'ec' },
  ];
  issuer.listen(0, '127.0.0.1');
  await once(issuer, 'listening');
  const { port } = issuer.address() as AddressInfo;
  url = `http://127.0.0.1:${port}`;
  virga = await startVirga({ env: { VIRGA_ISSUERS_PRIVATE: '127.0.0.1' } });
  const stored = await virga.cli(['secrets', 'set', 'SHARED', '--project', 'api'], { input: `${SECRET}\n` });
  assert.equal(stored.code, 0, stored.stderr);
  const deployed = await virga.deploy({ ...FILES, 'virga.yaml': await manifest() });
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(async () => {
  await virga[Symbol.asyncDispose]();
  issuer.close();
  issuer.closeAllConnections();
});

async function manifest(): Promise<string> {
  const pem = (await exportSPKI(ed.publicKey)).trim().replaceAll('\n', '\n            ');
  return `
project: api
gateway:
  auth:
    users: {jwt: {issuer: "${url}", audience: [notes, app]}}
    listed: {jwt: {issuer: other, audience: notes, jwks: "${url}/other-keys", algorithms: [ES256], clockSkew: 0s, scopes: [read]}}
    pinned:
      jwt:
        issuer: pinned
        audience: false
        from: ["cookie:session", "query:token"]
        keys:
          - |
            ${pem}
    shared: {jwt: {issuer: shared, audience: notes, secret: SHARED}}
    away: {jwt: {issuer: away, audience: notes, jwks: "${url}/nothing"}}
    redirected: {jwt: {issuer: redirected, audience: notes, jwks: "${url}/redirect"}}
    keys: {keys: {}}
functions:
  who:
    source: who.mjs
    http:
      - {path: /users, auth: users}
      - {path: /admins, auth: {use: users, scopes: [admin], claims: {"realm.roles": [owner, editor]}}}
      - {path: /listed, auth: listed}
      - {path: /pinned, auth: pinned}
      - {path: /shared, auth: shared}
      - {path: /away, auth: away}
      - {path: /redirected, auth: redirected}
      - {path: /any, auth: {any: [keys, users, shared]}}
      - {path: /all, auth: {all: [users, keys]}}
      - {path: /any-away, auth: {any: [away, users]}}
  lambda: {source: lambda.mjs, form: lambda, http: {path: /lambda, auth: users}}
`.replace('http: {path: /lambda, auth: users}', 'http: [{path: /lambda, auth: users}]');
}

async function token(
  claims: JWTPayload,
  {
    key = rsa.privateKey,
    alg = 'RS256',
    kid = 'rsa',
    expires = '5m',
  }: { key?: CryptoKey | Uint8Array; alg?: string; kid?: string | null; expires?: string | number } = {},
): Promise<string> {
  const header = kid === null ? { alg } : { alg, kid };
  return await new SignJWT({ iss: url, aud: 'notes', sub: 'ada', ...claims })
    .setProtectedHeader(header)
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(key);
}

async function ask(path: string, bearer?: string, headers: Record<string, string> = {}) {
  const answer = await virga.fetch('api', path, {
    headers: { ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }), ...headers },
  });
  const text = await answer.text();
  return {
    status: answer.status,
    challenge: answer.headers.get('www-authenticate'),
    text,
    body: JSON.parse(text) as Record<string, unknown>,
  };
}

test('a token of an issuer whose keys are discovered is known, with its scopes and claims', async () => {
  const bearer = await token({ scope: 'read write', email: 'ada@example.com' });
  const answer = await ask('/users', bearer);
  assert.equal(answer.status, 200, answer.text);
  const { kind, id, scopes, claims } = answer.body as { kind: string; id: string; scopes: string[]; claims: JWTPayload };
  assert.deepEqual([kind, id, scopes, claims.iss, claims['email']], ['jwt', 'ada', ['read', 'write'], url, 'ada@example.com']);
  // Again from memory: nothing is fetched for it.
  const fetched = asked.length;
  assert.equal((await ask('/users', bearer)).status, 200);
  assert.equal(asked.length, fetched);
  const { jwt } = (await ask('/lambda', bearer)).body as { jwt: { claims: Record<string, string>; scopes: string[] } };
  assert.deepEqual([jwt.claims['email'], jwt.claims['aud'], jwt.scopes], ['ada@example.com', 'notes', ['read', 'write']]);
  assert.match(jwt.claims['exp']!, /^\d+$/);
});

test('no token is 401 without an error, a wrong one 401 with invalid_token and why', async () => {
  const none = await ask('/users');
  assert.deepEqual([none.status, none.challenge], [401, 'Bearer realm="api"']);
  const good = await token({});
  const [head, payload, signature] = good.split('.') as [string, string, string];
  const unsigned = `${base64url.encode(JSON.stringify({ alg: 'none' }))}.${payload}.`;
  const publicPem = new TextEncoder().encode(await exportSPKI(rsa.publicKey));
  const cases: [string, string, RegExp][] = [
    [
      'another signature',
      `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
      /signature of the token is not right/,
    ],
    ['another payload', `${head}.${base64url.encode(JSON.stringify({ sub: 'eve' }))}.${signature}`, /signature/],
    ['the algorithm none', unsigned, /algorithm that is not accepted/],
    ['a public key as a shared secret', await token({}, { key: publicPem, alg: 'HS256' }), /algorithm that is not accepted/],
    ['an expired token', await token({}, { expires: Math.floor(Date.now() / 1_000) - 61 }), /has expired/],
    ['another audience', await token({ aud: 'billing' }), /claim that is not right: aud/],
    ['another issuer', await token({ iss: `${url}/` }), /claim that is not right: iss/],
    ['not yet', await token({ nbf: Math.floor(Date.now() / 1_000) + 120 }), /claim that is not right: nbf/],
    [
      'without an end',
      await new SignJWT({ iss: url, aud: 'notes' }).setProtectedHeader({ alg: 'RS256' }).sign(rsa.privateKey),
      /claim that is not right: exp/,
    ],
    ['no token at all', 'abc', /no JSON Web Token/],
    [
      'a critical extension',
      await new SignJWT({ iss: url, aud: 'notes' })

        .setProtectedHeader({ alg: 'RS256', crit: ['x-rule'], 'x-rule': 1 })
        .setExpirationTime('5m')
        .sign(rsa.privateKey, { crit: { 'x-rule': true } }),
      /JSON Web Token/,
    ],
  ];
  for (const [name, bearer, said] of cases) {
    const { status, text, challenge } = await ask('/users', bearer);
    assert.equal(status, 401, `${name}: ${text}`);
    assert.match(text, said, name);
    assert.match(challenge ?? '', /^Bearer realm="api", error="invalid_token", error_description="/, name);
  }
});

test('a token within the clock skew is taken, also from the memory of verified ones', async () => {
  const bearer = await token({}, { expires: Math.floor(Date.now() / 1_000) - 30 });
  for (let i = 0; i < 2; i++) assert.equal((await ask('/users', bearer)).status, 200);
});

test('a known user without the scope or the claim gets 403 with what is needed', async () => {
  const plain = await ask('/admins', await token({ scope: 'read' }));
  assert.equal(plain.status, 403);
  assert.match(plain.challenge ?? '', /^Bearer realm="api", error="insufficient_scope".*scope="admin"/);
  const admin = await token({ scope: 'admin', realm: { roles: ['viewer'] } });
  assert.match((await ask('/admins', admin)).text, /lacks the claim realm\.roles/);
  assert.equal((await ask('/admins', await token({ scp: ['admin'], realm: { roles: ['viewer', 'owner'] } }))).status, 200);
});

test('keys by URL, keys in the manifest and a shared secret verify as well, each with its algorithms', async () => {
  const listed = await token({ iss: 'other', scope: 'read' }, { key: ec.privateKey, alg: 'ES256', kid: null });
  assert.equal((await ask('/listed', listed)).status, 200);
  assert.equal((await ask('/listed', await token({ iss: 'other', scope: 'read' }))).status, 401);
  assert.equal((await ask('/listed', await token({ iss: 'other' }, { key: ec.privateKey, alg: 'ES256', kid: 'ec' }))).status, 403);

  const pinned = await token({ iss: 'pinned' }, { key: ed.privateKey, alg: 'EdDSA', kid: null });
  assert.equal((await ask('/pinned', undefined, { cookie: `a=b; session=${pinned}` })).status, 200);
  assert.equal((await ask(`/pinned?token=${pinned}`)).status, 200);
  const bearer = await ask('/pinned', pinned);
  assert.deepEqual([bearer.status, bearer.challenge], [401, 'Bearer realm="api", cookie="session"']);

  const key = new TextEncoder().encode(SECRET);
  assert.equal((await ask('/shared', await token({ iss: 'shared' }, { key, alg: 'HS256' }))).status, 200);
  assert.equal((await ask('/shared', await token({ iss: 'shared' }, { key, alg: 'HS512' }))).status, 401);
  assert.equal(
    (await ask('/shared', await token({ iss: 'shared' }, { key: new TextEncoder().encode('x'.repeat(32)), alg: 'HS256' }))).status,
    401,
  );
});

test('a new value of a shared secret holds from then on, for tokens that are remembered too', async () => {
  const old = await token({ iss: 'shared' }, { key: new TextEncoder().encode(SECRET), alg: 'HS256' });
  assert.equal((await ask('/shared', old)).status, 200);
  assert.equal((await virga.cli(['secrets', 'set', 'SHARED', '--project', 'api'], { input: 'another secret' })).code, 0);
  assert.equal((await ask('/shared', old)).status, 401);
  assert.equal(
    (await ask('/shared', await token({ iss: 'shared' }, { key: new TextEncoder().encode('another secret'), alg: 'HS256' }))).status,
    200,
  );
  const listed = await virga.cli(['secrets', 'list', '--project', 'api', '--json']);
  assert.deepEqual(
    listed.json<{ name: string }[]>().map(({ name }) => name),
    ['SHARED'],
  );
  const removed = await virga.cli(['secrets', 'rm', 'SHARED', '--project', 'api']);
  assert.match(removed.stderr, /names the secret SHARED at gateway\.auth\.shared\.jwt\.secret/);
});

test('an issuer that is away is a failure, not a refusal', async () => {
  for (const path of ['/away', '/redirected', '/any-away']) {
    const { status, text } = await ask(path, await token({ iss: path.slice(1) }));
    assert.equal(status, 503, text);
    assert.match(text, /"code":"issuer_unavailable".*it answered (?:404|302)/);
  }
  assert.equal((await ask('/any-away', await token({}))).status, 200);
  assert.equal((await ask('/away')).status, 401);
});

test('any of several: one challenge for each, and whichever is known counts', async () => {
  const none = await ask('/any');
  assert.deepEqual([none.status, none.challenge], [401, 'ApiKey realm="api", header="x-api-key", Bearer realm="api"']);
  assert.equal((await ask('/any', await token({}))).status, 200);
  const { key } = (await virga.cli(['keys', 'create', '--project', 'api', '--json'])).json<{ key: string }>();
  assert.equal((await ask('/any', undefined, { 'x-api-key': key })).status, 200);
  assert.equal((await ask('/all', await token({}))).status, 401);
  const both = await ask('/all', await token({}), { 'x-api-key': key });
  assert.deepEqual([both.status, both.body['kind']], [200, 'jwt']);
});

test('rules that could not work are refused at deploy', async () => {
  const deploy = async (jwt: string) =>
    await virga.deploy({
      ...FILES,
      'virga.yaml': `project: api\nfunctions:\n  who:\n    source: who.mjs\n    http:\n      - path: /\n        auth: {jwt: ${jwt}}\n`,
    });
  const cases: [string, RegExp][] = [
    ['{issuer: "https://a.example"}', /lacks 'audience'/],
    ['{issuer: a, audience: b}', /cannot be discovered; add jwks, keys or secret/],
    ['{issuer: a, audience: b, secret: SHARED, algorithms: [RS256]}', /RS256 is for public keys/],
    ['{issuer: a, audience: b, jwks: "https://a.example/k", algorithms: [HS256]}', /HS256 is for a shared/],
    ['{issuer: a, audience: b, jwks: "https://a.example/k", algorithms: [none]}', /algorithms\[0\] is \\"none\\"; expected an algorithm/],
    ['{issuer: a, audience: b, secret: SHARD}', /'routes\.0\.policy\.auth\.jwt\.secret' names what is not there.*did you mean 'SHARED'/],
    ['{issuer: a, audience: b, secret: NOWHERE}', /virga secrets set NOWHERE/],
    ['{issuer: a, audience: b, jwks: "ftp://a.example"}', /expected a URL/],
  ];
  for (const [jwt, said] of cases) {
    const wrong = await deploy(jwt);
    assert.equal(wrong.code, 1, jwt);
    assert.match(wrong.stderr, said);
  }
});
