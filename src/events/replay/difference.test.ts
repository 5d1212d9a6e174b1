// What differs between two answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences } from './difference.ts';
import type { ComparedAnswer } from './difference.ts';

function answer(body: string | Buffer, more: Partial<ComparedAnswer> = {}): ComparedAnswer {
  const contentType = typeof body === 'string' && /^[[{"]/.test(body) ? 'application/json' : 'text/plain';
  return { status: 200, headers: ['Content-Type', contentType], contentType, body: Buffer.from(body), truncated: false, ...more };
}

test('equal answers have no difference, whatever their dates and ids', () => {
  const [one, other] = [answer('{"a":[1,{"b":2}]}'), answer('{"a":[1,{"b":2}]}')];
  one.headers = [...one.headers, 'date', 'today', 'x-request-id', '1', 'x-virga-invocation', 'inv_1'];
  other.headers = ['date', 'tomorrow', ...other.headers];
  assert.deepEqual(differences(one, other), []);
  // As JSON they are the same.
  assert.deepEqual(differences(answer('{"a":1,"b":2}'), answer('{ "b": 2, "a": 1 }')), []);
});

test('status, headers and JSON are told by where they differ', () => {
  const before = answer('{"a":{"b":[1,2]},"gone":null,"same":true}', {
    headers: ['x-old', '1', 'x-both', 'a'],
    contentType: 'application/json',
  });
  const after = answer('{"a":{"b":[1,3,4]},"same":true,"__proto__":{"x":1}}', {
    status: 201,
    headers: ['X-Both', 'b'],
    contentType: 'application/json',
  });
  assert.deepEqual(differences(before, after), [
    { at: 'status', before: 200, after: 201 },
    { at: 'header.x-both', before: 'a', after: 'b' },
    { at: 'header.x-old', before: '1' },
    { at: 'body.a.b.1', before: 2, after: 3 },
    { at: 'body.a.b.2', after: 4 },
    { at: 'body.gone', before: null },
    { at: 'body.__proto__', after: { x: 1 } },
  ]);
});

test('text is compared by line, with three around each change', () => {
  const lines = Array.from({ length: 20 }, (_, n) => `line ${n}`);
  const changed = lines.with(10, 'other').toSpliced(12, 0, 'more');
  assert.deepEqual(differences(answer(lines.join('\n')), answer(changed.join('\n'))), [
    {
      at: 'body',
      lines: [' line 7', ' line 8', ' line 9', '-line 10', '+other', ' line 11', '+more', ' line 12', ' line 13', ' line 14', ' …'],
    },
  ]);
});

test('other bytes differ as a whole, what was cut only as far as it is known, and very long texts in one word', () => {
  assert.deepEqual(differences(answer(Buffer.from([255, 1])), answer(Buffer.from([255]))), [
    { at: 'body', before: '2 bytes', after: '1 bytes' },
  ]);
  assert.deepEqual(differences(answer('begin', { truncated: true }), answer('beginning')), []);
  const long = '\n'.repeat(2_000);
  assert.deepEqual(differences(answer(long), answer('x')), [{ at: 'body', lines: ['-(2001 lines)', '+(1 lines)'] }]);
});

test('numbers that no double can hold are compared by their digits', () => {
  assert.deepEqual(differences(answer('{"id":9007199254740993,"n":1.0}'), answer('{"id":9007199254740992,"n":1}')), [
    { at: 'body.id', before: '9007199254740993', after: 9_007_199_254_740_992 },
  ]);
  assert.deepEqual(differences(answer('{"id":9007199254740993}'), answer('{ "id": 9007199254740993 }')), []);
});

test('a JSON of great depth overflows nothing, also when the answer is written, and what is long is cut', () => {
  const deep = (depth: number, end: string): string => `${'['.repeat(depth)}${end}${']'.repeat(depth)}`;
  for (const depth of [5_000, 100_000])
    for (const [before, after] of [
      [deep(depth, '1'), deep(depth, '2')],
      [deep(depth, '"a"'), deep(depth, '2')],
      ['[]', `[${deep(depth, '2')}]`],
    ] as const) {
      const found = differences(answer(before), answer(after));
      assert.equal(found.length, 1);
      assert.ok(JSON.stringify(found).length < 10_000);
    }
  const [{ after }] = differences(answer('{}'), answer(JSON.stringify({ a: ['x'.repeat(10_000)] }))) as unknown as [{ after: string }];
  assert.match(after, /^\["x+…$/);
});
