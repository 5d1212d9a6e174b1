// Who may call, from a document's words to ours: nothing is guessed that would open a route.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticatorOf, authOf } from './auth-words.ts';

test('a key says where it stands; what else a scheme lacks is told', () => {
  const key = authenticatorOf({ type: 'apiKey', in: 'header', name: 'X-API-Key' });
  assert.deepEqual(key, { written: { keys: { from: ['header:x-api-key'] } }, lacks: '' });
  for (const [scheme, lacks] of [
    [
      { type: 'openIdConnect', openIdConnectUrl: 'https://id.example.com/.well-known/openid-configuration' },
      /issuer: https:\/\/id\.example\.com, audience/,
    ],
    [{ type: 'http', scheme: 'Bearer', bearerFormat: 'JWT' }, /neither is in the document/],
    [{ type: 'oauth2', flows: {} }, /authorization server/],
    [{ type: 'http', scheme: 'basic' }, /no counterpart for basic/],
    [{ type: 'mutualTLS' }, /client certificates/],
    ['nothing', /security scheme/],
  ] as const) {
    const { written, lacks: told } = authenticatorOf(scheme);
    assert.equal(written, undefined);
    assert.match(told, lacks);
  }
});

test('alternatives are any-of, what is needed together is all-of, scopes stay with their scheme', () => {
  assert.equal(authOf([{ apiKey: [] }]), 'api-key');
  assert.deepEqual(authOf([{ login: ['read', 'write'] }]), { use: 'login', scopes: ['read', 'write'] });
  assert.deepEqual(authOf([{ key: [] }, { login: ['read'], cert: [] }]), {
    any: ['key', { all: [{ use: 'login', scopes: ['read'] }, 'cert'] }],
  });
});
