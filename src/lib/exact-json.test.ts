// Numbers that no double holds go in and out as they are; all others are numbers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hasLongNumbers, parseExact } from './exact-json.ts';

describe('JSON with exact numbers', () => {
  for (const number of [
    '9007199254740993',
    '-12345678901234567890',
    '0.12345678901234567',
    '1e400',
    '-1E+400',
    '1e-400',
    '1.00000000000000000001',
  ])
    test(number, () => {
      assert.ok(hasLongNumbers(`{"id":${number}}`));
      for (const text of [number, `{"id":${number}}`, `{"a":[1,{"id":${number}}]}`]) assert.equal(JSON.stringify(parseExact(text)), text);
    });

  test('what a double holds is a number, and texts are texts', () => {
    const value = { a: 1, b: 0.1, c: 9007199254740991, d: '9007199254740993', e: 1.5e300, f: -0 };
    assert.deepEqual(parseExact(JSON.stringify({ ...value, f: 0 })), { ...value, f: 0 });
    assert.equal(parseExact('1234567890123456'), 1_234_567_890_123_456);
  });

  test('what is checked is checked wherever a reviver runs', () => {
    const keys: string[] = [];
    parseExact('{"a":{"b":1}}', { asked: true, check: (key) => keys.push(key) });
    assert.deepEqual(keys, ['b', 'a', '']);
  });

  test('any JSON is what it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.deepEqual(JSON.parse(JSON.stringify(parseExact(JSON.stringify(value)))), JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 300 },
    );
  });
});
