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

test('nothing is suggested when nothing is close', () => {
  assert.equal(closestWord('colour', ['memoryMiB', 'env']), undefined);
  assert.equal(closestWord('x', ['y']), undefined);
  assert.equal(closestWord('a'.repeat(10_000), ['a'.repeat(10_000)]), undefined);
});
