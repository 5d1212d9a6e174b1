import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readProxyHeader } from './proxy-header.ts';
import type { ForwardedLines } from './forwarded.ts';
import { TrustedProxies } from './trusted-proxies.ts';

const inside = new TrustedProxies(['10.0.0.0/8', '192.0.2.1', '2001:db8:1::/48']);

test('the client is the last one in the chain whom no trusted proxy speaks for', () => {
  const cases: [lines: ForwardedLines, client: string | undefined][] = [
    [{}, undefined],
    [{ for: '198.51.100.7' }, '198.51.100.7'],
    [{ for: '6.6.6.6, 198.51.100.7' }, '198.51.100.7'],
    [{ for: '6.6.6.6, 198.51.100.7, 192.0.2.1, 10.9.9.9' }, '198.51.100.7'],
    [{ for: '10.1.1.1, 10.2.2.2' }, '10.1.1.1'],
    [{ for: '198.51.100.7:4711' }, '198.51.100.7'],
    [{ for: '[2001:db8:2::7]:4711, 2001:db8:1::9' }, '2001:db8:2::7'],
    [{ for: '198.51.100.7, nonsense' }, undefined],
    [{ for: '6.6.6.6, unknown, 10.0.0.2' }, '10.0.0.2'],
    [{ forwarded: 'for=198.51.100.7;proto=https' }, '198.51.100.7'],
    [{ forwarded: 'for="[2001:db8:2::7]:80"; host="a, b", for=192.0.2.1' }, '2001:db8:2::7'],
    [{ forwarded: 'for=_hidden, for=10.3.3.3' }, '10.3.3.3'],
    [{ for: '198.51.100.7', forwarded: 'for=6.6.6.6' }, '198.51.100.7'],
  ];
  for (const [lines, client] of cases) assert.equal(inside.resolve('10.0.0.1', lines).client, client, JSON.stringify(lines));
});

test('by count, as many hops are believed as there are proxies, and the scheme and host are those of the client’s hop', () => {
  const two = new TrustedProxies(2);
  assert.ok(two.trusts('203.0.113.9'));
  assert.equal(two.resolve('203.0.113.9', { for: '6.6.6.6, 198.51.100.7, 10.0.0.1' }).client, '198.51.100.7');
  assert.equal(new TrustedProxies(1).resolve('203.0.113.9', { for: '6.6.6.6, 198.51.100.7' }).client, '198.51.100.7');
  const said = two.resolve('203.0.113.9', { for: '6.6.6.6, 198.51.100.7, 10.0.0.1', proto: 'http, https, http', host: 'shop.example' });
  assert.deepEqual(said, { client: '198.51.100.7', scheme: 'https', host: 'shop.example' });
  assert.deepEqual(two.resolve('203.0.113.9', { proto: 'https' }), { client: undefined, scheme: 'https', host: undefined });
  assert.equal(two.resolve('203.0.113.9', { proto: 'gopher', host: 'a b' }).host, undefined);
});

test('who is trusted is told by address, also where IPv4 comes as IPv6 would', () => {
  assert.deepEqual(
    ['10.255.0.1', '192.0.2.1', '2001:db8:1::1', '192.0.2.2', '2001:db8:2::1', '', 'x'].map((address) => inside.trusts(address)),
    [true, true, true, false, false, false, false],
  );
});

const SIGNATURE = '0d0a0d0a000d0a515549540a';

test('PROXY headers of both versions say the client and how long they are', () => {
  const line = Buffer.from('PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\nGET / HTTP/1.1\r\n');
  assert.deepEqual(readProxyHeader(line), { kind: 'header', bytes: 43, client: '198.51.100.7' });
  assert.equal(line.toString('latin1', 43, 46), 'GET');
  assert.deepEqual(readProxyHeader(Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n')), {
    kind: 'header',
    bytes: 40,
    client: '2001:db8::7',
  });
  assert.deepEqual(readProxyHeader(Buffer.from('PROXY UNKNOWN a b c\r\n')), { kind: 'header', bytes: 21, client: undefined });
  const v4 = Buffer.from(`${SIGNATURE}2111000fc63364070a00000112670 1bb030000`.replaceAll(' ', ''), 'hex');
  assert.deepEqual(readProxyHeader(v4), { kind: 'header', bytes: 31, client: '198.51.100.7' });
  const v6 = Buffer.from(`${SIGNATURE}2121002420010db8${'0'.repeat(22)}07${'0'.repeat(40)}`, 'hex');
  assert.deepEqual(readProxyHeader(v6), { kind: 'header', bytes: 52, client: '2001:db8::7' });
  assert.deepEqual(readProxyHeader(Buffer.from(`${SIGNATURE}20000000`, 'hex')), { kind: 'header', bytes: 16, client: undefined });
  for (const whole of [line.subarray(0, 43), v4, v6])
    for (let length = 0; length < whole.length; length++) assert.deepEqual(readProxyHeader(whole.subarray(0, length)), { kind: 'more' });
});

test('what is no PROXY header is malformed, at the latest when it is longer than one may be', () => {
  const wrong = [
    'GET / HTTP/1.1\r\n',
    'PROXY TCP4 198.51.100.7 10.0.0.1 4711\r\n',
    'PROXY TCP4 2001:db8::1 10.0.0.1 1 2\r\n',
    'PROXY TCP4 198.51.100.7 10.0.0.1 1 65536\r\n',
    'PROXY TCP4  198.51.100.7 10.0.0.1 1 2\r\n',
    'proxy TCP4 198.51.100.7 10.0.0.1 1 2\r\n',
    `PROXY UNKNOWN ${'x'.repeat(100)}`,
  ];
  for (const text of wrong) assert.equal(readProxyHeader(Buffer.from(text)).kind, 'malformed', text);
  for (const hex of ['2211000c', '31110000', '21110004ffffffff', '2112000c', '2111ffff'])
    assert.equal(readProxyHeader(Buffer.from(`${SIGNATURE}${hex}${'00'.repeat(12)}`, 'hex')).kind, 'malformed', hex);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => readProxyHeader(Buffer.from(bytes)).kind.length > 0));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const read = readProxyHeader(Buffer.concat([Buffer.from(SIGNATURE, 'hex'), bytes]));
      if (read.kind === 'header') assert.ok(read.bytes <= bytes.length + 12);
    }),
  );
});
