// How many messages go together, by how often they have failed, and by their bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextBatch, together } from './batches.ts';
import type { Held } from './held.ts';

const held = (id: string, options: { attempt?: number; bytes?: number; group?: string } = {}): Held => {
  const message = { id, attempt: options.attempt ?? 1, group: options.group ?? null } as Held['message'];
  return { message, bytes: options.bytes ?? 1, leasedUntil: 0, lost: false };
};
const batchOf = (waiting: Held[], rules: Partial<Parameters<typeof nextBatch>[1]> = {}) => {
  const next = nextBatch(waiting, { batch: 10, attempts: 5, fifo: false, ...rules }, new Set());
  return next === undefined ? undefined : [next.messages.map(({ message }) => message.id).join(''), next.full];
};

test('a message goes with ever fewer others, alone at its last attempt or at the fifth', () => {
  const sizes = (attempts: number, batch: number) => [1, 2, 3, 4, 5, 6].map((attempt) => together({ batch, attempts }, attempt));
  assert.deepEqual(sizes(5, 10), [10, 10, 5, 2, 1, 1]);
  assert.deepEqual(sizes(5, 1_000), [1_000, 1_000, 100, 10, 1, 1]);
  assert.deepEqual(sizes(1_000, 10), [10, 10, 5, 2, 1, 1]);
  assert.deepEqual(sizes(3, 10), [10, 10, 1, 1, 1, 1]);
  assert.deepEqual(sizes(2, 10), [10, 1, 1, 1, 1, 1]);
  assert.deepEqual(sizes(1, 10), [10, 1, 1, 1, 1, 1]);
});

test('those that failed before and those that are new go apart', () => {
  assert.deepEqual(batchOf([held('a', { attempt: 5 }), held('b'), held('c')]), ['a', true]);
  assert.deepEqual(batchOf([held('a'), held('b', { attempt: 5 }), held('c')]), ['ac', true]);
  assert.deepEqual(batchOf([held('a', { attempt: 4 }), held('b', { attempt: 4 }), held('c', { attempt: 4 })]), ['ab', true]);
  assert.deepEqual(batchOf([held('a'), held('b')]), ['ab', false]);
});

test('a call has at most 6 MiB, but a larger message goes alone', () => {
  const mib = 1024 * 1024;
  assert.deepEqual(batchOf([held('a', { bytes: 4 * mib }), held('b', { bytes: 3 * mib }), held('c', { bytes: mib })]), ['ac', true]);
  assert.deepEqual(batchOf([held('a', { bytes: 9 * mib }), held('b')]), ['a', true]);
});

test('what stays behind keeps those of its group behind it', () => {
  const waiting = [held('a', { group: 'x' }), held('b', { group: 'y', attempt: 5 }), held('c', { group: 'y' }), held('d', { group: 'x' })];
  assert.deepEqual(batchOf(waiting, { fifo: true }), ['ad', true]);
  assert.equal(batchOf([]), undefined);
});
