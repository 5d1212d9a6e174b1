// What an asynchronous invocation is to run, as it travels.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idempotencyKeyOf } from './accept.ts';
import { outcomeEvent, payloadOf } from './destinations.ts';
import type { AsyncRow } from './records.ts';
import { fingerprintOf, readRequest, withoutSecrets, writeRequest } from './request.ts';

const HTTP = { method: 'POST', url: 'http://a/x?k=1', headers: ['Cookie', 'a=1', 'x-a', 'b'], route: '/x', params: {}, client: '::1' };

test('a request comes back as it was, text or bytes', () => {
  for (const body of [Buffer.from('grüße\u0000'), Buffer.from([0xff, 0, 0xc3]), Buffer.alloc(0)]) {
    const request = { contentType: 'text/plain', http: HTTP, version: 3, body };
    const written = writeRequest(request);
    assert.ok(!written.includes('\0'), 'Postgres takes no NUL');
    assert.deepEqual(readRequest(written), request);
  }
  assert.equal(readRequest('{'), undefined);
  assert.equal(readRequest('{"a":1}'), undefined);
});

test('requests under one key are the same by what they ask, not by their headers', () => {
  const one = fingerprintOf({ contentType: 'a/b', http: HTTP, body: Buffer.from('x') });
  assert.deepEqual(fingerprintOf({ contentType: 'a/b', http: { ...HTTP, headers: ['x-try', '2'] }, body: Buffer.from('x') }), one);
  for (const other of [
    { contentType: 'a/c', http: HTTP, body: Buffer.from('x') },
    { contentType: 'a/b', http: { ...HTTP, method: 'PUT' }, body: Buffer.from('x') },
    { contentType: 'a/b', http: { ...HTTP, url: 'http://a/x?k=2' }, body: Buffer.from('x') },
    { contentType: 'a/b', http: HTTP, body: Buffer.from('y') },
    { contentType: 'a/b', body: Buffer.from('x') },
  ])
    assert.notDeepEqual(fingerprintOf(other), one);
});

test('credentials are not kept', () => {
  assert.deepEqual(withoutSecrets({ contentType: 'a/b', http: HTTP, body: Buffer.alloc(0) }).http!.headers, ['x-a', 'b']);
});

test('an idempotency key stands in quotes or without them', () => {
  for (const [header, key] of [
    ['"a b"', 'a b'],
    ['8e03978e', '8e03978e'],
    ['"say \\"hi\\""', 'say "hi"'],
    [undefined, undefined],
  ] as const)
    assert.equal(idempotencyKeyOf(header), key);
  for (const header of ['', '""', 'ü', 'x'.repeat(256), '"a\tb"'])
    assert.throws(() => idempotencyKeyOf(header), { code: 'invalid_request' });
});

test('a payload in an event is JSON, text or base64 by what it is, and left out when it is too large', () => {
  assert.deepEqual(payloadOf('application/problem+json', Buffer.from('{"a":1}')), {
    contentType: 'application/problem+json',
    json: { a: 1 },
  });
  assert.deepEqual(payloadOf('application/json', Buffer.from('{')), { contentType: 'application/json', text: '{' });
  assert.deepEqual(payloadOf('image/png', Buffer.from([255])), { contentType: 'image/png', base64: '/w==' });
  assert.deepEqual(payloadOf('text/plain', Buffer.alloc(70_000)), { contentType: 'text/plain', truncated: true });
  // What grows when it is written as JSON is weighed as that.
  for (const [type, text] of [
    ['text/plain', '\u0001'.repeat(60_000)],
    ['application/json', `[${Array(12_000).fill('1e20').join(',')}]`],
  ] as const)
    assert.deepEqual(payloadOf(type, Buffer.from(text)), { contentType: type, truncated: true });
});

test('the event of an outcome has the same id each time', () => {
  const row = {
    id: 'inv_01k9x3v5m8q2r7t4w6y9z0a1b2',
    project: 'p',
    function: 'f',
    state: 'failed',
    createdAt: 1,
    deadlineAt: 3,
    endedAt: 2,
    answer: null,
  } as AsyncRow;
  const event = outcomeEvent({ ...row, errorCode: 'function_error', error: 'no' }, { contentType: 'text/plain', body: Buffer.from('x') });
  assert.match(event.id, /^evt_[0-9a-z]{26}$/);
  assert.deepEqual([event.type, event.data!.error], ['virga.invocation.failed', { code: 'function_error', message: 'no' }]);
  const again = outcomeEvent({ ...row, errorCode: 'function_error', error: 'no' }, { contentType: 'text/plain', body: Buffer.from('x') });
  assert.equal(again.id, event.id);
});
