import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Egress } from '../../protocol/egress.ts';
import { blockListOf } from '../../protocol/reserved-addresses.ts';
import { Policy } from './policy.ts';

const MINUTE_MS = 60_000;

function policy(egress: Egress, { opened = [] as string[], own = ['203.0.113.1'], openPort = null as number | null } = {}): Policy {
  return new Policy(egress, { opened: blockListOf(opened), isOwn: (address) => own.includes(address), openPort });
}

function allows(of: Policy, address: string, port = 443, nowMs = 0): boolean {
  return of.judge(address, port, nowMs).allowed;
}

test('internet is everything public, but for the node itself', () => {
  const internet = policy('internet');
  assert.ok(allows(internet, '198.51.100.7') && allows(internet, '2001:db8::1') && allows(internet, '::ffff:198.51.100.7'));
  for (const address of ['10.0.0.1', '::1', '::ffff:10.0.0.1', '203.0.113.1', '::ffff:203.0.113.1'])
    assert.ok(!allows(internet, address), address);
  assert.ok(allows(policy('internet', { openPort: 8080 }), '203.0.113.1', 8080));
  assert.ok(!allows(policy('internet', { openPort: 8080 }), '203.0.113.1', 8081));
  assert.ok(!allows(policy('internet', { openPort: 8080, own: ['10.0.0.1'] }), '10.0.0.1', 8080));
});

test('a pin is for the sandbox, the name and the port that were allowed', () => {
  const list = policy(['api.example.com:443', '*.wild.example.com']);
  assert.ok(!allows(list, '198.51.100.7'));
  list.learn('api.example.com', '198.51.100.7', 60, 0);
  list.learn('a.wild.example.com', '198.51.100.8', 60, 0);
  list.learn('other.example.com', '198.51.100.9', 60, 0);
  assert.ok(allows(list, '198.51.100.7') && allows(list, '::ffff:198.51.100.7') && !allows(list, '198.51.100.7', 80));
  assert.ok(allows(list, '198.51.100.8', 80));
  assert.ok(!allows(list, '198.51.100.9'));
  assert.equal(list.nameOf('198.51.100.7', 0), 'api.example.com');
});

test('a pin lasts for its time to live, at least five minutes and at most a day', () => {
  const list = policy(['api.example.com']);
  list.learn('api.example.com', '198.51.100.7', 0, 0);
  list.learn('api.example.com', '198.51.100.8', 3_600, 0);
  list.learn('api.example.com', '198.51.100.9', 1e9, 0);
  assert.ok(allows(list, '198.51.100.7', 443, 4 * MINUTE_MS) && !allows(list, '198.51.100.7', 443, 6 * MINUTE_MS));
  assert.ok(allows(list, '198.51.100.8', 443, 59 * MINUTE_MS) && !allows(list, '198.51.100.8', 443, 61 * MINUTE_MS));
  assert.ok(!allows(list, '198.51.100.9', 443, 25 * 60 * MINUTE_MS));
});

test('pins are bounded, the oldest go first', () => {
  const list = policy(['*.example.com']);
  for (let n = 0; n < 1_001; n++) list.learn('a.example.com', `198.51.${n >> 8}.${n & 255}`, 60, 0);
  assert.ok(!allows(list, '198.51.0.0') && allows(list, '198.51.0.1') && allows(list, '198.51.3.232'));
});

test('an opened range is for who names it', () => {
  const opened = ['10.0.5.0/24'];
  assert.ok(!allows(policy('internet', { opened }), '10.0.5.7'));
  assert.ok(!allows(policy(['198.51.100.0/24'], { opened }), '10.0.5.7'));
  assert.ok(!allows(policy(['10.0.5.7']), '10.0.5.7'));
  assert.ok(allows(policy(['10.0.5.7:443'], { opened }), '10.0.5.7'));
  assert.ok(!allows(policy(['10.0.5.7:443'], { opened }), '10.0.5.7', 80));
  assert.ok(!allows(policy(['0.0.0.0/0'], { opened }), '10.0.6.7'));
  assert.ok(policy(['db.example.com'], { opened }).mayLearn('db.example.com', '10.0.5.7').allowed);
  assert.ok(!policy(['other.example.com'], { opened }).mayLearn('db.example.com', '10.0.5.7').allowed);
});

test('names of a list are resolved, and no others', () => {
  const list = policy(['api.example.com:443', '*.wild.example.com']);
  const may = (name: string): boolean => list.mayResolve(name).allowed;
  assert.deepEqual(['api.example.com', 'a.wild.example.com', 'a.b.wild.example.com'].map(may), [true, true, true]);
  assert.deepEqual(['example.com', 'wild.example.com', 'xapi.example.com', 'evilwild.example.com', 'api.example.com.evil.net'].map(may), [
    false,
    false,
    false,
    false,
    false,
  ]);
  assert.ok(!policy('none').mayResolve('example.com').allowed);
});
