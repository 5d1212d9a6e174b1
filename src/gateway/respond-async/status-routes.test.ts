import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Principal } from '../../protocol/principal.ts';
import { principalText } from './status-routes.ts';

test('the same name from another issuer, or of another kind, is somebody else', () => {
  const ada: Principal = { kind: 'jwt', id: 'ada', scopes: [], claims: { iss: 'https://a.example' } };
  const others: Principal[] = [
    { ...ada, claims: { iss: 'https://b.example' } },
    { ...ada, claims: {} },
    { ...ada, kind: 'key' },
    { ...ada, id: 'eve' },
  ];
  for (const other of others) assert.notEqual(principalText(other), principalText(ada));
  const none: Principal = { kind: 'jwt', id: 'https://a.example ada', scopes: [], claims: {} };
  assert.notEqual(principalText(none), principalText(ada));
  // Postgres takes no NUL, and the rows of others are written with it.
  assert.ok(!principalText({ ...ada, id: 'a\u0000b' }).includes('\0'));
  // A later token of hers.
  assert.equal(principalText({ ...ada, scopes: ['read'], claims: { iss: 'https://a.example', exp: 7 } }), principalText(ada));
});
