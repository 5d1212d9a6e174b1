// Numbers that no double can hold.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExactly, writtenNumber } from './exact-json.ts';

test('what is parsed is written again with every digit of its numbers', () => {
  for (const text of [
    '{"id":12345678901234567890,"n":-9007199254740993,"price":0.10000000000000000000001,"huge":1e400,"list":[1,2.5,"12345678901234567890"]}',
    '[]',
    'null',
    '"a"',
  ])
    assert.equal(JSON.stringify(parseExactly(text)), text);
});

test('numbers that a double holds are numbers', () => {
  assert.deepEqual(parseExactly('{"a":9007199254740991,"b":1.5,"c":1e3,"d":"x"}'), { a: 9_007_199_254_740_991, b: 1.5, c: 1_000, d: 'x' });
  assert.deepEqual(
    [writtenNumber(parseExactly('9007199254740993')), writtenNumber(7), writtenNumber({ rawJSON: '1' })],
    ['9007199254740993', undefined, undefined],
  );
});

test('who asks hears of each key', () => {
  const keys: string[] = [];
  parseExactly('{"a":{"b":1}}', (key) => keys.push(key));
  assert.deepEqual(keys, ['b', 'a', '']);
});

test('what is no JSON is refused', () => {
  assert.throws(() => parseExactly('{"a":12345678901234567890'), SyntaxError);
});
