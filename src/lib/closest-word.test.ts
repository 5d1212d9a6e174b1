import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closestWord } from './closest-word.ts';

test('a misspelt word finds the one that was meant', () => {
  const words = ['memoryMiB', 'timeoutMs', 'concurrency', 'cpus', 'env'];
  assert.equal(closestWord('memroyMiB', words), 'memoryMiB');
  assert.equal(closestWord('memorymib', words), 'memoryMiB');
  assert.equal(closestWord('timeout', words), 'timeoutMs');
  assert.equal(closestWord('cpu', words), 'cpus');
});

test('of very many names some are looked at, so that a wrong one costs little', () => {
  const names = Array.from({ length: 1_000 }, (_, n) => `queue-${n}`.padEnd(40, 'x'));
  assert.equal(closestWord('queue-7'.padEnd(39, 'x'), names), names[7]);
  assert.equal(closestWord('queue-700'.padEnd(41, 'y'), names), undefined);
  let looked = 0;
  function* counted(): Generator<string> {
    for (const name of names) {
      looked++;
      yield name;
    }
  }
  closestWord('y'.repeat(40), counted());
  assert.ok(looked < 100, `${looked} looked at`);
});

test('nothing is suggested when nothing is close', () => {
  assert.equal(closestWord('colour', ['memoryMiB', 'env']), undefined);
  assert.equal(closestWord('x', ['y']), undefined);
  assert.equal(closestWord('a'.repeat(10_000), ['a'.repeat(10_000)]), undefined);
});
