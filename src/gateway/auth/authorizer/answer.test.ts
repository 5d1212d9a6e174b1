import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAnswer } from './answer.ts';
import type { AuthorizerAnswer } from './answer.ts';

function read(answer: unknown): AuthorizerAnswer {
  const found = readAnswer(answer, 'nobody');
  if (typeof found === 'string') assert.fail(found);
  return found;
}

const ARN = 'arn:aws:execute-api:local:000000000000:shop/$default';
const policy = (...statements: object[]) => read({ principalId: 'u1', policyDocument: { Version: '2012-10-17', Statement: statements } });
const invoke = { Action: 'execute-api:Invoke' };

test('a policy allows what it allows, a denial wins, and what it does not name is denied', () => {
  const { allows } = policy(
    { ...invoke, Effect: 'Allow', Resource: [`${ARN}/GET/*`, '*/PUT/notes/?'] },
    { ...invoke, Effect: 'Deny', Resource: '*/secret*' },
    { Action: 's3:*', Effect: 'Allow', Resource: '*' },
  );
  const asked = ['GET/notes', 'GET/', 'PUT/notes/7', 'PUT/notes/77', 'POST/notes', 'GET/a/secret/b'].map((path) =>
    allows(`${ARN}/${path}`),
  );
  assert.deepEqual(asked, [true, true, true, false, false, false]);
  assert.equal(policy({ Action: ['execute-api:*'], Effect: 'Allow', Resource: '*' }).allows(`${ARN}/GET/x`), true);
  assert.equal(policy({ Action: '*', Effect: 'Allow', Resource: '*' }).allows('anything'), true);
});

test('no pattern takes long', () => {
  const { allows } = policy({ ...invoke, Effect: 'Allow', Resource: `${'*a'.repeat(500)}b` });
  const startedAt = performance.now();
  assert.equal(allows('a'.repeat(8_000)), false);
  assert.ok(performance.now() - startedAt < 1_000);
});

test('each shape gives a principal', () => {
  assert.deepEqual(read({ allow: true }).principal, { kind: 'authorizer', id: 'nobody', scopes: [], claims: {} });
  assert.deepEqual(
    read({ allow: true, principal: { id: 'u', scopes: ['a', 1], claims: { x: 1 }, plan: 'gold' }, context: { y: 2 } }).principal,
    {
      kind: 'authorizer',
      id: 'u',
      scopes: ['a'],
      claims: { x: 1, y: 2 },
      plan: 'gold',
    },
  );
  assert.deepEqual(read({ isAuthorized: false, context: { a: 1 } }).principal.claims, { a: 1 });
  const { principal } = read({ principalId: 'u', usageIdentifierKey: 'free', policyDocument: { Statement: [] } });
  assert.deepEqual([principal.id, principal.plan], ['u', 'free']);
});

test('a ttl is seconds or a duration', () => {
  assert.deepEqual(
    [read({ allow: true }).ttlMs, read({ allow: true, ttl: 1.5 }).ttlMs, read({ allow: true, ttl: '5m' }).ttlMs],
    [undefined, 1_500, 300_000],
  );
});

test('what is no answer is said to be none', () => {
  for (const [answer, said] of [
    [null, /no object/],
    ['yes', /no object/],
    [{}, /neither `allow`/],
    [{ allow: 'yes' }, /neither `allow`/],
    [{ allow: true, ttl: 'soon' }, /ttl/],
    [{ allow: true, ttl: -1 }, /ttl/],
    [{ policyDocument: {} }, /Statement without Effect/],
    [{ policyDocument: { Statement: [{ Effect: 'Allow', Action: '*' }] } }, /Statement without Effect and Resource/],
    [{ allow: true, context: { x: 'x'.repeat(20_000) } }, /16384 bytes/],
  ] as const)
    assert.match(readAnswer(answer, 'nobody') as string, said);
});
