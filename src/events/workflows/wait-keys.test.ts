// How events find the waits that they are for: never past one that they fit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileFilter } from '../../lib/event-filter.ts';
import { keysOfEvent, projectOfKey, typeOfKey, waitKey } from './wait-keys.ts';

const event = {
  ...{ specversion: '1.0', id: '1', source: '/shop', type: 'paid', subject: 'u-17' },
  data: {
    user: 'ada',
    n: 1e21,
    zero: -0,
    none: null,
    tags: [['a', ['b']]],
    lines: [{ sku: 'x' }, { sku: 'y' }],
    a: { b: { c: { d: 1 } } },
  },
};

test('an event that fits a wait has its key', () => {
  const keys = keysOfEvent('shop', event);
  for (const pattern of [
    { data: { user: ['ada'] } },
    { data: { n: [1e21] } },
    { data: { zero: [0] } },
    { data: { none: [null] } },
    { data: { tags: ['b'] } },
    { data: { lines: { sku: ['y'] } } },
    { data: { a: { b: { c: { d: [1] } } } } },
    { data: { user: ['eve', 'ada'] } },
    { data: { user: [{ prefix: 'a' }] } },
    { subject: ['u-17'], data: { user: ['ada'] } },
    { $or: [{ data: { user: ['eve'] } }, { subject: ['u-17'] }] },
    { data: { other: [{ exists: false }] } },
  ]) {
    assert.ok(compileFilter(pattern)(event), JSON.stringify(pattern));
    assert.ok(keys.has(waitKey('shop', 'paid', JSON.stringify(pattern))), JSON.stringify(pattern));
  }
  assert.ok(keys.has(waitKey('shop', 'paid', null)));
});

test('whoever waits for another value, type or project is not looked at', () => {
  const keys = keysOfEvent('shop', event);
  const ada = '{"data":{"user":["ada"]}}';
  for (const key of [
    waitKey('shop', 'paid', '{"data":{"user":["eve"]}}'),
    waitKey('shop', 'paid', '{"data":{"n":["1e21"]}}'),
    waitKey('shop', 'sold', ada),
    waitKey('other', 'paid', ada),
  ])
    assert.ok(!keys.has(key));
  assert.deepEqual([projectOfKey(waitKey('shop', 'paid', ada)), typeOfKey(waitKey('shop', 'paid', ada))], ['shop', 'paid']);
});
