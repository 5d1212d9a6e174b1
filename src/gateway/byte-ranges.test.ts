// Whatever a client asks for, what is sent is inside of what there is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { byteRange } from './byte-ranges.ts';

test('a range is inside of the body, of at least one byte', () => {
  const number = fc.oneof(fc.constant(''), fc.nat(30).map(String), fc.bigInt({ min: 0n, max: 10n ** 20n }).map(String));
  const header = fc.oneof(
    fc.tuple(number, number).map(([from, to]) => `bytes=${from}-${to}`),
    fc.string(),
    fc.string().map((text) => `bytes=${text}`),
  );
  fc.assert(
    fc.property(header, fc.nat(25), (text, length) => {
      const range = byteRange(text, length);
      if (range === undefined || range === 'unsatisfiable') return;
      assert.ok(range.first >= 0 && range.first <= range.last && range.last < length, `${text} of ${length}`);
    }),
    { numRuns: 2_000 },
  );
});

test('first and last, an open end, the last bytes', () => {
  const cases: [string | undefined, number, ReturnType<typeof byteRange>][] = [
    [undefined, 10, undefined],
    ['bytes=0-', 10, { first: 0, last: 9 }],
    ['bytes=5-5', 10, { first: 5, last: 5 }],
    ['bytes=-20', 10, { first: 0, last: 9 }],
    ['bytes=9-20', 10, { first: 9, last: 9 }],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-0', 0, 'unsatisfiable'],
    ['bytes=0-1,2-3', 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes 0-1', 10, undefined],
  ];
  for (const [header, length, expected] of cases) assert.deepEqual(byteRange(header, length), expected, String(header));
});
