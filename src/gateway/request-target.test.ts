// The rules for paths and hosts: what passes means the same to the gateway, to `new URL()` and to a file system.
import assert from 'node:assert/strict';
import { join, sep } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isHost, pathSegments } from './request-target.ts';
import { segmentsOf } from './route-table.ts';

const PIECES = [
  '/',
  '//',
  '.',
  '..',
  '...',
  'a',
  'b.c',
  '%2e',
  '%2E',
  '%2f',
  '%5c',
  '\\',
  '%00',
  '%0a',
  '%25',
  '2e',
  '%',
  '%c0%ae',
  '%c3%a9',
  ';',
  '@',
  ' ',
  '\x01',
  '\xe9',
  '~',
  ':',
  '+',
  '*',
  '[',
  '|',
  '"',
  '<',
  '`',
  '{',
  '^',
];

test('a path that passes is to new URL() what it is to the router, and no parameter of it leaves its folder', () => {
  let passed = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }), (pieces) => {
      const path = `/${pieces.join('')}`;
      const segments = pathSegments(path);
      if (typeof segments === 'string') return;
      passed++;
      const url = new URL(`http://target.localhost${path}`);
      assert.equal(url.host, 'target.localhost', path);
      assert.equal(url.search + url.hash, '', path);
      assert.deepEqual(segmentsOf(url.pathname).map(decodeURIComponent), segments, path);
      for (const segment of segments) {
        assert.ok(join('/srv/files', segment).startsWith(segment === '' ? '/srv/files' : `/srv/files${sep}`), path);
        assert.doesNotMatch(segment, /[\0-\x1f\x7f]/, path);
      }
      const rest = segments.join('/');
      if (segments[0] !== '') assert.ok(join('/srv/files', rest).startsWith('/srv/files'), path);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(passed > 100, `only ${passed} paths passed`);
});

test('what is refused says why', () => {
  const why: [string, RegExp][] = [
    ['/a/../b', /dot segment/],
    ['/a/%2e%2e', /dot segment/],
    ['/a/..%2fb', /dot segment/],
    ['/a\\b', /backslash.*%5C/],
    ['/%2fetc', /begins with an encoded slash/],
    ['/a%00', /control character/],
    ['/%c0%ae', /malformed percent-encoding/],
    ['/\xe9', /percent-encoded/],
  ];
  for (const [path, reason] of why) {
    const said = pathSegments(path);
    assert.ok(typeof said === 'string' && reason.test(said), `${path}: ${String(said)}`);
  }
});

test('a host that passes can be the authority of a URL, and stays the authority', () => {
  const pieces = [
    'a',
    'b.c',
    '.',
    '..',
    ':',
    ':80',
    ':99999',
    '@',
    '/',
    '\\',
    '?',
    '#',
    '[::1]',
    '[',
    '1.2.3.4',
    '1.2.3.256',
    'xn--',
    '%41',
    '-',
    '_',
    '~',
    ' ',
    'é',
    '0x7f',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 5 }), (parts) => {
      const host = parts.join('');
      if (!isHost(host)) return;
      const url = new URL(`http://${host}/path?query`);
      assert.deepEqual([url.pathname, url.search, url.username], ['/path', '?query', ''], host);
    }),
    { numRuns: 5_000 },
  );
  for (const host of ['app.example.com', 'target.localhost:8080', 'localhost', '127.0.0.1:1', '[::1]:8080', 'my_host', 'a.b.c.d.example'])
    assert.ok(isHost(host), host);
});
