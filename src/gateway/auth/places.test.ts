import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GatewayRequest } from '../stage.ts';
import { firstOf } from './places.ts';

function request(headers: Record<string, string>, target = '/'): GatewayRequest {
  return { target, header: (name: string) => headers[name] } as unknown as GatewayRequest;
}

test('a bearer token is what follows the scheme, whatever its case', () => {
  const read = firstOf(['bearer']);
  for (const [value, token] of [
    ['Bearer abc', 'abc'],
    ['bearer   abc ', 'abc'],
    ['BEARER a b', 'a b'],
    ['Bearer', undefined],
    ['Bearer ', undefined],
    ['Bearer  ', undefined],
    ['Basic abc', undefined],
    ['Bearerabc', undefined],
  ] as const)
    assert.equal(read(request({ authorization: value })), token, value);
});

test('a cookie, a query parameter and a header are found by their whole name', () => {
  const cookie = firstOf(['cookie:sid']);
  assert.equal(cookie(request({ cookie: 'xsid=1; sid=2; sid=3' })), '2');
  assert.equal(cookie(request({ cookie: 'sid="q"' })), 'q');
  assert.equal(cookie(request({ cookie: 'sid=' })), undefined);
  const query = firstOf(['query:t']);
  assert.equal(query(request({}, '/?xt=1&t=a%20b&t=c')), 'a b');
  assert.equal(query(request({}, '/t=1')), undefined);
  assert.equal(firstOf(['header:X-Key'])(request({ 'x-key': 'k' })), 'k');
});

test('the first place that has something counts; what is longer than any credential is none', () => {
  const read = firstOf(['header:x-key', 'bearer']);
  assert.equal(read(request({ authorization: 'Bearer b' })), 'b');
  assert.equal(read(request({ 'x-key': 'a', authorization: 'Bearer b' })), 'a');
  assert.equal(read(request({ 'x-key': 'a'.repeat(16_385) })), undefined);
});
