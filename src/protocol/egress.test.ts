import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEgressEntry, privateEgress } from './egress.ts';
import { reservedAs, unmapped } from './reserved-addresses.ts';

test('an entry is a name, all names below one, an address or a range, with or without a port', () => {
  const rules = {
    'api.stripe.com': { kind: 'name', name: 'api.stripe.com', port: null },
    'API.Stripe.com.': { kind: 'name', name: 'api.stripe.com', port: null },
    'db.example.com:5432': { kind: 'name', name: 'db.example.com', port: 5432 },
    '*.example.com:443': { kind: 'below', name: 'example.com', port: 443 },
    '203.0.113.7': { kind: 'range', range: '203.0.113.7/32', port: null },
    '203.0.113.7:22': { kind: 'range', range: '203.0.113.7/32', port: 22 },
    '203.0.113.0/24:22': { kind: 'range', range: '203.0.113.0/24', port: 22 },
    '2001:db8::/32': { kind: 'range', range: '2001:db8::/32', port: null },
    '2001:db8::7': { kind: 'range', range: '2001:db8::7/128', port: null },
    '[2001:db8::7]:443': { kind: 'range', range: '2001:db8::7/128', port: 443 },
    '[2001:db8::/32]:443': { kind: 'range', range: '2001:db8::/32', port: 443 },
    '0.0.0.0/0': { kind: 'range', range: '0.0.0.0/0', port: null },
  };
  for (const [text, rule] of Object.entries(rules)) assert.deepEqual(parseEgressEntry(text), rule, text);
});

test('what is no entry is told why, and what to write', () => {
  const problems: [text: string, problem: RegExp][] = [
    ['https://api.stripe.com/v1', /is a URL; write its host alone, as in api\.stripe\.com$/],
    ['api.stripe.com/v1', /has a path/],
    ['*', /has a '\*' elsewhere.*egress: internet/],
    ['api.*.com', /has a '\*' elsewhere/],
    ['a.com:0', /the port '0'; a port is a number from 1 to 65535/],
    ['a.com:http', /the port 'http'/],
    ['', /has a '\*' elsewhere|neither/],
    ['two words', /neither a name nor an address/],
    ['127.1', /looks like an address but is none/],
    ['0x7f000001', /looks like an address but is none/],
    ['203.0.113.256', /looks like an address but is none/],
    ['203.0.113.7/24', /write 203\.0\.113\.0\/24, or 203\.0\.113\.7 for the one address/],
    ['203.0.113.0/33', /no prefix length from 0 to 32/],
    ['203.0.113.0/24/8', /no prefix length/],
    ['2001:db8::1/32', /write 2001:0db8:.*\/32, or 2001:db8::1 for the one address/],
    ['fe80::1%eth0', /has a zone/],
    ['x'.repeat(301), /more than 300 characters/],
  ];
  for (const [text, problem] of problems) assert.match(parseEgressEntry(text) as string, problem, text);
});

test('an entry that names what is not public is refused, unless the operator opened all of it', () => {
  for (const text of [
    '10.0.0.5',
    '10.0.0.0/8',
    '127.0.0.1:5432',
    '169.254.169.254',
    'fd00::/8',
    '[::1]:80',
    '::ffff:10.0.0.1',
    '192.168.0.0/24',
  ]) {
    assert.match(privateEgress(text, [])!.why, /is not on the internet/, text);
  }
  for (const text of ['203.0.113.7', '0.0.0.0/0', '::/0', '2001:db8::/32', 'internal.example.com', '8.0.0.0/7']) {
    assert.equal(privateEgress(text, []), undefined, text);
  }
  assert.equal(privateEgress('10.0.5.7:5432', ['10.0.5.0/24']), undefined);
  assert.notEqual(privateEgress('10.0.0.0/16', ['10.0.5.0/24']), undefined);
});

test('an address that is not public is known in every form', () => {
  const reserved = [
    ...['0.0.0.0', '10.255.0.1', '100.64.0.1', '127.9.9.9', '168.63.129.16', '169.254.169.254', '172.31.255.255', '192.0.0.8'],
    ...['192.168.1.1', '198.19.0.1', '224.0.0.251', '255.255.255.255', '::', '::1', 'fc00::1', 'fd12:3456::1', 'fe80::1', 'fe80::1%eth0'],
    ...['ff02::1', 'fec0::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0:0:0:0:0:ffff:a00:1', '::127.0.0.1', '64:ff9b::10.0.0.1'],
    ...['64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '2002:7f00:1::1', '2002:c0a8:101::', '2001:0:a00:1::1', '2001:0:cb00:7107::f5ff:fffe'],
  ];
  for (const address of reserved) assert.notEqual(reservedAs(address), null, address);
  const open = [
    '1.1.1.1',
    '172.32.0.1',
    '172.15.0.1',
    '100.128.0.1',
    '203.0.113.7',
    '2606:4700::1111',
    '::ffff:1.1.1.1',
    '64:ff9b::1.1.1.1',
    '2002:101:101::1',
  ];
  for (const address of open) assert.equal(reservedAs(address), null, address);
  assert.equal(unmapped('::FFFF:1.2.3.4'), '1.2.3.4');
  assert.equal(unmapped('2001:0DB8:0:0::1'), '2001:db8::1');
});
