// Under which key a client is counted: its address, of IPv6 the /64, whatever way it is written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SUBJECT_LENGTH_MAX } from '../../protocol/usage.ts';
import { addressKey, bounded } from './client-key.ts';

test('an IPv6 client is its /64, and an IPv4 client in IPv6 is itself', () => {
  const same = ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::9', '2001:DB8:0001:2:ffff::', '2001:db8:1:2::1%eth0'];
  for (const address of same) assert.equal(addressKey(address), '2001:db8:1:2::/64', address);
  assert.equal(addressKey('::1'), '0:0:0:0::/64');
  assert.equal(addressKey('fe80::1:2:3:4'), 'fe80:0:0:0::/64');
  assert.equal(addressKey('2001:db8::5:6:7:8:9'), '2001:db8:0:5::/64');
  assert.equal(addressKey('::ffff:203.0.113.7'), '203.0.113.7');
  assert.equal(addressKey('203.0.113.7'), '203.0.113.7');
  assert.notEqual(addressKey('2001:db8:1:3::1'), addressKey('2001:db8:1:2::1'));
});

test('what is long, or what a database refuses, is counted under its hash', () => {
  for (const odd of [`jwt:${'a'.repeat(10_000)}`, 'jwt:a\0b', 'jwt:\ud800']) {
    const key = bounded(odd);
    assert.match(key, /^jwt:sha256-[\w-]{43}$/);
    assert.ok(key.length <= SUBJECT_LENGTH_MAX);
  }
  assert.equal(bounded('jwt:alice'), 'jwt:alice');
  assert.notEqual(bounded('jwt:a\0b'), bounded('jwt:a\0c'));
});
