// What senders hand over: the shape of it, and its bounds. Each error names the place and what to do about it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MessageBounds } from './message-bounds.ts';
import type { Bounded } from './message-bounds.ts';
import { sentMessages, sentPublications, sentRecords } from './sent-input.ts';

const bounds = (message: Partial<Bounded>, { index = 0, count = 1, what = 'messages' } = {}) =>
  new MessageBounds(1_000).of(what, count).add(index, { body: 'x', ...message });

describe('the shape', () => {
  test('one, a list, or a list under its name; bodies that are no text become JSON', () => {
    const expected = [{ body: 'x' }];
    assert.deepEqual(sentMessages({ body: 'x' }), expected);
    assert.deepEqual(sentMessages([{ body: 'x' }]), expected);
    assert.deepEqual(sentMessages({ messages: [{ body: 'x' }] }), expected);
    assert.deepEqual(sentMessages([{ body: { a: 1 } }, { body: null }, { body: 7, delayMs: 5 }, { body: '"' }]), [
      { body: '{"a":1}' },
      { body: 'null' },
      { body: '7', delayMs: 5 },
      { body: '"' },
    ]);
    assert.deepEqual(
      sentRecords({ records: [{ data: 1 }, { key: 'k', data: 2 }] }, () => 'new'),
      [
        { partitionKey: 'new', data: '1' },
        { partitionKey: 'k', data: '2' },
      ],
    );
  });

  for (const [what, input, message] of [
    ['a text', 'x', /^the body: expected an object/],
    ['nothing', null, /^the body: expected an object.*\(got null\)/],
    ['no list', { messages: {} }, /^'messages': expected a list of messages \(got an object\)/],
    ['something beside the list', { messages: [], body: 1 }, /^'body': is not known beside 'messages'/],
    ['an element that is no object', { messages: [{ body: 1 }, 7] }, /^'messages\.1': expected an object \(got 7\)/],
    ['a misspelt key', { body: 1, grup: 'x' }, /^'grup': is not known; did you mean 'group'\?/],
    ['no body', { messages: [{ attributes: {} }] }, /^'messages\.0\.body': is missing/],
    ['a group that is no text', { body: 1, group: 7 }, /^'group': expected a text \(got 7\)/],
    ['a delay that is no number', { body: 1, delayMs: '7s' }, /^'delayMs': expected a number \(got a text\)/],
    ['attributes that are a list', { body: 1, attributes: [1] }, /^'attributes': expected an object of texts \(got a list of 1\)/],
    ['an attribute that is a number', [{ body: 1, attributes: { n: 1 } }], /^'0\.attributes\.n': expected a text/],
  ] as const)
    test(what, () => assert.throws(() => sentMessages(input), { code: 'invalid_request', message }));

  test('a message of a topic has a subject and no delay', () => {
    assert.deepEqual(sentPublications({ body: 1, subject: 's' }), [{ body: '1', subject: 's' }]);
    assert.throws(() => sentPublications({ body: 1, delayMs: 1 }), /'delayMs': is not known/);
    assert.throws(() => sentMessages({ body: 1, subject: 's' }), /'subject': is not known/);
  });
});

describe('the bounds', () => {
  for (const [what, message, code, text] of [
    ['a body', { body: 'ü'.repeat(501) }, 'request_too_large', /^it has 1002 bytes; at most 1000 .*VIRGA_LIMIT_MESSAGE_BYTES/],
    ['NUL', { body: 'a\0' }, 'invalid_request', /^'body': it holds the character NUL/],
    ['half of a pair', { attributes: { a: '\ud800' } }, 'invalid_request', /^'attributes\.a': it holds half of a surrogate pair/],
    ['an empty group', { group: '' }, 'invalid_request', /^'group': it has 0 characters; give it from 1 to 256/],
    ['a long id', { id: 'x'.repeat(257) }, 'invalid_request', /^'id': it has 257 characters/],
    ['a delay before now', { delayMs: -1 }, 'invalid_request', /^'delayMs': it is -1; .*\(30d\)/],
    ['a delay of a part', { delayMs: 0.5 }, 'invalid_request', /^'delayMs'/],
    ['a long delay', { delayMs: 30 * 86_400_000 + 1 }, 'invalid_request', /^'delayMs'/],
    ['a strange name', { attributes: { 'a b': 'x' } }, 'invalid_request', /'a b' is no name of an attribute/],
    [
      'many attributes',
      { attributes: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`a${n}`, ''])) },
      'invalid_request',
      /there are 51; at most 50/,
    ],
    ['long attributes', { attributes: { a: 'x'.repeat(16_384) } }, 'invalid_request', /they have 16385 bytes; at most 16384/],
  ] as const)
    test(what, () => assert.throws(() => bounds(message), { code, message: text }));

  test('what is just within them passes', () => {
    bounds({ body: 'ü'.repeat(500), delayMs: 30 * 86_400_000, group: 'g'.repeat(256), attributes: { a: 'x'.repeat(16_383) } });
    bounds({ body: '', attributes: { 'ce-id': 'x', '_a.b:c': '' } });
  });

  test('the number of messages, and their bytes together', () => {
    const all = new MessageBounds(1_000_000);
    assert.throws(() => all.of('messages', 0), /there are no messages; send at least one/);
    assert.throws(() => all.of('records', 1_001), { code: 'request_too_large', message: /1001 records; send at most 1000 at once/ });
    const request = all.of('events', 9);
    for (let index = 0; index < 8; index++) request.add(index, { body: 'x'.repeat(1_000_000) });
    assert.throws(() => request.add(8, { body: 'x'.repeat(1_000_000) }), /the events have more than 8388608 bytes together/);
  });

  test('of several the place is named', () => {
    assert.throws(() => bounds({ group: '' }, { index: 3, count: 5 }), /^VirgaError: 'messages\.3\.group'/);
    assert.throws(() => bounds({ body: 'x'.repeat(1_001) }, { index: 3, count: 5 }), /'messages\.3' has 1001 bytes/);
  });
});
