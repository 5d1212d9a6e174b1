// Columns of what takes two cells of a terminal, or none, and of what would break a line.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { table } from './table.ts';

test('columns are aligned by what is seen of a text', () => {
  const rows = [
    ['注文', 'a'],
    ['📦 box', 'b'],
    ['e\u0301te\u0301', 'c'],
    ['\x1b[31mred\x1b[39m', 'd'],
    ['plain', 'e'],
  ];
  assert.deepEqual(table(['what', 'id'], rows).split('\n'), [
    'what    id',
    '注文    a',
    '📦 box  b',
    'e\u0301te\u0301     c',
    '\x1b[31mred\x1b[39m     d',
    'plain   e',
  ]);
});

test('nothing of a cell ends its line or moves the cursor', () => {
  assert.equal(
    table([], [['a\nb\r\x1b[2J\x1b]0;title\x07', '\x9b1mc\x7f', '\x1b[1mbold\x1b[22m']]),
    'a b ·[2J·]0;title·  ·1mc·  \x1b[1mbold\x1b[22m',
  );
});
