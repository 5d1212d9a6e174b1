import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instancesToStart } from './start-rule.ts';

const base = { queued: 0, slots: 0, freeSlots: 0, starting: 0, concurrency: 1, serviceMs: 5, startMs: 6, oldestWaitMs: 0, allowed: 8 };

test('the first call of a version that has no instance starts one', () => {
  assert.equal(instancesToStart({ ...base, queued: 1 }), 1);
});

test('a short queue that the present instances clear sooner than a start would take starts none', () => {
  assert.equal(instancesToStart({ ...base, queued: 2, slots: 4, serviceMs: 2 }), 0);
});

test('a long queue behind a slow instance starts as many as are allowed', () => {
  assert.equal(instancesToStart({ ...base, queued: 100, slots: 1, concurrency: 10, serviceMs: 50 }), 8);
});

test('calls that a start under way will take start nothing more', () => {
  assert.equal(instancesToStart({ ...base, queued: 3, starting: 1, concurrency: 10, oldestWaitMs: 3 }), 0);
});

test('a call that has waited longer than a start takes gets an instance, whatever the averages say', () => {
  assert.equal(instancesToStart({ ...base, queued: 1, slots: 1, serviceMs: 0.1, oldestWaitMs: 10 }), 1);
});

test('nothing is started beyond what is allowed', () => {
  assert.equal(instancesToStart({ ...base, queued: 5, allowed: 0 }), 0);
  assert.equal(instancesToStart({ ...base, queued: 5, allowed: 2 }), 2);
});
