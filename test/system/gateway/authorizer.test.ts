// Functions that decide who may call: in Virga's own shape and in those of AWS Lambda authorizers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startVirga } from '../virga.ts';
import type { Virga } from '../virga.ts';

const PROJECT = {
  'virga.yaml': `
project: doors
gateway:
  auth:
    ours: {authorizer: {function: ours, headers: [X-Tenant]}}
    uncached: {authorizer: {function: ours, cache: 0s}}
    session: {authorizer: {function: ours, identity: ["cookie:sid", "query:token"]}}
    simple: {authorizer: {function: simple}}
    policy: {authorizer: {function: policy, keptFor: project}}
functions:
  ours: {source: ours.mjs, instances: {max: 1}, concurrency: 100}
  simple: {source: simple.mjs, form: lambda}
  policy: {source: policy.py, form: lambda, runtime: python3}
  who:
    source: who.mjs
    http:
      - {path: "/ours/{id}", auth: ours}
      - {path: /scoped, auth: {use: ours, scopes: [write]}}
      - {path: /uncached, auth: uncached}
      - {path: /session, auth: session}
      - {path: "/simple", auth: simple}
      - {path: "/policy/{path+}", auth: policy}
`,
  'who.mjs': `export default { fetch: (request, context) => Response.json(context.principal) };`,
  'ours.mjs': `
let calls = 0;
export async function handler(event) {
    calls++;
    const token = Object.values(event.identity)[0];
    if (token === 'slow') await new Promise((resolve) => setTimeout(resolve, 200));
    if (token === 'throws') throw new Error('no idea');
    if (token === 'odd') return { yes: true };
    if (token === 'large') return { allow: true, context: { text: 'x'.repeat(20000) } };
    if (token === 'nobody') return { allow: false, known: false };
    if (token === 'brief') return { allow: true, ttl: 0, context: { calls } };
    return { allow: token !== 'denied', principal: { id: token, scopes: ['read'], plan: 'gold' }, context: { calls, event } };
}`,
  'simple.mjs': `export const handler = async (event) => {
    const [token] = event.identitySource;
    if (token === 'who') throw new Error('Unauthorized');
    return { isAuthorized: token === 'open' && event.type === 'REQUEST', context: { route: event.routeKey } };
  };`,
  'policy.py': `
def handler(event, context):
    arn = event["methodArn"].split("/", 1)[0]
    return {"principalId": event["authorizationToken"], "usageIdentifierKey": "free", "context": {"tenant": "acme"},
            "policyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arn + "/*/GET/policy/*"},
                {"Effect": "Deny", "Action": ["execute-api:*"], "Resource": ["*/policy/secret*", "arn:none"]},
                {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}}
`,
};

let virga: Virga;
before(async () => {
  virga = await startVirga();
  const deployed = await virga.deploy(PROJECT);
  assert.equal(deployed.code, 0, deployed.stderr);
});
after(() => virga[Symbol.asyncDispose]());

interface Answer {
  status: number;
  challenge: string | null;
  text: string;
  body: { id: string; kind: string; scopes: string[]; plan?: string; claims: Record<string, never> & { calls: number } };
}

async function ask(path: string, authorization?: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  const answer = await virga.fetch('doors', path, {
    method,
    headers: { ...(authorization === undefined ? {} : { authorization }), ...headers },
  });
  const text = await answer.text();
  return { status: answer.status, challenge: answer.headers.get('www-authenticate'), text, body: JSON.parse(text) as Answer['body'] };
}

test('the function sees what is asked, and its principal and context reach the function behind', async () => {
  const answer = await ask('/ours/7?x=1', 'ada', { 'x-tenant': 'acme', 'x-other': 'hidden' });
  assert.equal(answer.status, 200, answer.text);
  const { event, ...claims } = answer.body.claims as unknown as { calls: number; event: Record<string, unknown> };
  assert.deepEqual(
    { ...answer.body, claims },
    { kind: 'authorizer', id: 'ada', scopes: ['read'], plan: 'gold', claims: { calls: claims.calls } },
  );
  const { method, path, route, params, identity, headers, routeArn } = event;
  assert.deepEqual(
    { method, path, route, params, identity, headers, routeArn },
    {
      method: 'GET',
      path: '/ours/7',
      route: '/ours/{id}',
      params: { id: '7' },
      identity: { 'header:authorization': 'ada' },
      headers: { 'x-tenant': 'acme' },
      routeArn: 'arn:aws:execute-api:local:000000000000:doors/$default/GET/ours/7',
    },
  );
  assert.doesNotMatch(answer.text, /hidden/);
});

test('answers are kept by the identity, and by what else the function sees', async () => {
  const first = (await ask('/ours/1', 'kept')).body.claims.calls;
  assert.equal((await ask('/ours/2', 'kept')).body.claims.calls, first);
  assert.equal((await ask('/ours/1', 'kept', { 'x-tenant': 'b' })).body.claims.calls, first + 1);
  assert.equal((await ask('/ours/1', 'other')).body.claims.calls, first + 2);
  assert.equal((await ask('/ours/1', 'kept')).body.claims.calls, first);
  const brief = (await ask('/ours/1', 'brief')).body.claims.calls;
  assert.equal((await ask('/ours/1', 'brief')).body.claims.calls, brief + 1);
  const uncached = (await ask('/uncached', 'kept')).body.claims.calls;
  assert.equal((await ask('/uncached', 'kept')).body.claims.calls, uncached + 1);
});

test('many who wait for one answer make one call', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/ours/1', 'slow')));
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  assert.equal(new Set(answers.map(({ body }) => body.claims.calls)).size, 1);
});

test('without the identity there is no call and a 401', async () => {
  const earlier = (await ask('/uncached', 'count')).body.claims.calls;
  const none = await ask('/ours/1');
  assert.deepEqual([none.status, none.challenge], [401, 'Bearer realm="doors"']);
  const half = await ask('/session?token=t');
  assert.deepEqual([half.status, half.challenge], [401, 'Credentials realm="doors", cookie="sid"']);
  assert.equal((await ask('/uncached', 'count')).body.claims.calls, earlier + 1);
  assert.equal((await ask('/session?token=t', undefined, { cookie: 'sid=s' })).status, 200);
});

test('denied is 403, nobody 401, a scope that lacks 403', async () => {
  assert.equal((await ask('/ours/1', 'denied')).status, 403);
  const nobody = await ask('/ours/1', 'nobody');
  assert.deepEqual([nobody.status, /error="invalid_token"/.test(nobody.challenge ?? '')], [401, true]);
  assert.equal((await ask('/scoped', 'ada')).status, 403);
});

test('a function that fails, or whose answer is none, is a failure and not a refusal', async () => {
  for (const [token, said] of [
    ['throws', /"code":"authorizer_failed","message":"the authorizer's function 'ours' failed: function_error/],
    ['odd', /cannot be read: it has neither `allow`/],
    ['large', /more than 16384 bytes/],
  ] as const) {
    const { status, text, challenge } = await ask('/ours/1', token);
    assert.deepEqual([status, challenge], [502, null]);
    assert.match(text, said);
  }
});

test('AWS Lambda: the simple response', async () => {
  const open = await ask('/simple', 'open');
  assert.deepEqual([open.status, open.body.claims], [200, { route: 'GET /simple' }]);
  assert.match(open.body.id, /^unnamed-/);
  assert.equal((await ask('/simple', 'closed')).status, 403);
  assert.equal((await ask('/simple', 'who')).status, 401);
});

test('AWS Lambda: an IAM policy is kept whole and holds for each path by itself', async () => {
  const allowed = await ask('/policy/notes/7', 'ada');
  assert.equal(allowed.status, 200, allowed.text);
  assert.deepEqual(allowed.body, { kind: 'authorizer', id: 'ada', scopes: [], claims: { tenant: 'acme' }, plan: 'free' });
  assert.equal((await ask('/policy/secret/7', 'ada')).status, 403);
  assert.equal((await ask('/policy/notes/7', 'ada', {}, 'PUT')).status, 403);
});

test('a new version of the function is asked anew', async () => {
  assert.equal((await ask('/simple', 'open')).status, 200);
  const closed = await virga.deploy({ ...PROJECT, 'simple.mjs': 'export const handler = async () => ({ isAuthorized: false });' });
  assert.equal(closed.code, 0, closed.stderr);
  assert.equal((await ask('/simple', 'open')).status, 403);
});
