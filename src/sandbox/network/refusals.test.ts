import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusals } from './refusals.ts';

test('one line for each destination, and few of them, with what was left out counted', () => {
  const lines: string[] = [];
  const refusals = new Refusals((text) => lines.push(text), 0);
  for (let n = 0; n < 1_000; n++) refusals.report('a', n);
  assert.deepEqual(lines, ['a']);
  for (let n = 0; n < 1_000; n++) refusals.report(`b${n}`, 1_000);
  assert.ok(lines.length <= 11, `${lines.length}`);
  refusals.report('c', 60_000);
  assert.match(lines.at(-1)!, /^c \(\d+ like this or others were not logged\)$/);
  refusals.report('a', 61_000);
  assert.equal(lines.at(-1), 'a');
});
