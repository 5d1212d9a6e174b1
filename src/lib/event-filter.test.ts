// Filters: each operator by example, and by chance against a second implementation that is slow and simple.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileFilter, filterProblem } from './event-filter.ts';
import { wildcardTest } from './wildcard.ts';

type Pattern = Record<string, unknown>;

const fits = (pattern: Pattern, event: unknown): boolean => {
  assert.equal(filterProblem(pattern), undefined, JSON.stringify(pattern));
  return compileFilter(pattern)(event);
};

describe('what fits', () => {
  const cases: [what: string, pattern: Pattern, fit: unknown[], not: unknown[]][] = [
    ['a text', { a: ['x', 'y'] }, [{ a: 'x' }, { a: 'y', b: 1 }], [{ a: 'z' }, { a: 'X' }, {}, { a: null }, { a: {} }, 'x', null, []]],
    ['a number is no text', { a: [5] }, [{ a: 5 }, { a: 5.0 }], [{ a: '5' }, { a: 5.1 }]],
    [
      'true, null and the empty text',
      { a: [true, null, ''] },
      [{ a: true }, { a: null }, { a: '' }],
      [{ a: false }, { a: 0 }, {}, { a: ' ' }],
    ],
    ['all keys', { a: ['x'], b: ['y'] }, [{ a: 'x', b: 'y' }], [{ a: 'x' }, { b: 'y' }]],
    ['below', { a: { b: { c: [1] } } }, [{ a: { b: { c: 1 } } }], [{ a: { b: 1 } }, { a: { b: { c: 2 } } }, { a: null }]],
    ['any element', { a: ['x'] }, [{ a: ['z', 'x'] }, { a: [['x']] }], [{ a: [] }, { a: ['z'] }, { a: [{ x: 'x' }] }]],
    [
      'one element as a whole',
      { a: { b: [1], c: [2] } },
      [{ a: [{}, { b: 1, c: 2 }] }, { a: [[{ b: 1, c: 2 }]] }],
      [{ a: [{ b: 1 }, { c: 2 }] }, { a: [] }],
    ],
    ['prefix', { a: [{ prefix: 'us-' }] }, [{ a: 'us-1' }], [{ a: 'eu-us-' }, { a: 5 }]],
    ['prefix in any case', { a: [{ prefix: { 'equals-ignore-case': 'US-' } }] }, [{ a: 'us-1' }, { a: 'Us-1' }], [{ a: 'eu' }]],
    ['suffix', { a: [{ suffix: '.png' }] }, [{ a: 'a.png' }], [{ a: 'a.png ' }, { a: 'a.PNG' }]],
    ['suffix in any case', { a: [{ suffix: { 'equals-ignore-case': '.png' } }] }, [{ a: 'a.PNG' }], [{ a: 'png' }]],
    ['any case', { a: [{ 'equals-ignore-case': 'Alice' }] }, [{ a: 'aLICE' }], [{ a: 'alic' }, { a: null }]],
    ['wildcard', { a: [{ wildcard: 'dir/*.p*g' }] }, [{ a: 'dir/x.png' }, { a: 'dir/.pg' }], [{ a: 'dir/x.pn' }, { a: 'xdir/.pg' }]],
    ['a star that is meant', { a: [{ wildcard: String.raw`a\*b\\*` }] }, [{ a: String.raw`a*b\ ` }], [{ a: 'axb' }, { a: 'a*b' }]],
    [
      'anything but',
      { a: [{ 'anything-but': ['x', 5] }] },
      [{ a: 'y' }, { a: 6 }, { a: null }, { a: ['x', 'y'] }],
      [{ a: 'x' }, { a: 5 }, {}, { a: [] }],
    ],
    [
      'anything but a prefix',
      { a: [{ 'anything-but': { prefix: ['x', 'y'] } }] },
      [{ a: 'z' }, { a: 5 }, { a: null }],
      [{ a: 'xa' }, { a: 'y' }, {}],
    ],
    ['anything but a wildcard', { a: [{ 'anything-but': { wildcard: '*/lib/*' } }] }, [{ a: 'src/x' }], [{ a: 'a/lib/x' }]],
    ['numeric', { a: [{ numeric: ['>', 0, '<=', 5] }] }, [{ a: 5 }, { a: 0.1 }], [{ a: 0 }, { a: 5.1 }, { a: '3' }, { a: null }]],
    ['numeric =', { a: [{ numeric: ['=', 3.018e2] }] }, [{ a: 301.8 }], [{ a: 301 }]],
    // As AWS's event-ruler has it: of leaves alone.
    ['is there', { a: [{ exists: true }] }, [{ a: null }, { a: 1 }, { a: ['x'] }], [{}, { b: 1 }, { a: {} }, { a: { x: 1 } }, { a: [] }]],
    [
      'is not there',
      { a: { b: [{ exists: false }] } },
      [{}, { a: {} }, { a: 1 }, { a: { c: 1 } }, { a: { b: { c: 1 } } }, { a: { b: [] } }],
      [{ a: { b: null } }, { a: { b: ['x'] } }],
    ],
    ['not there, or something', { a: [{ exists: false }, 'x'] }, [{}, { a: 'x' }], [{ a: 'y' }]],
    [
      'a range of addresses',
      { a: [{ cidr: '10.0.0.0/24' }, { cidr: '2001:db8::/32' }] },
      [{ a: '10.0.0.7' }, { a: '2001:db8::1' }],
      [{ a: '10.0.1.7' }, { a: 'x' }, { a: 7 }],
    ],
    [
      'or',
      { a: ['x'], $or: [{ b: [1] }, { c: { d: [2] } }] },
      [
        { a: 'x', b: 1 },
        { a: 'x', c: { d: 2 } },
      ],
      [{ a: 'x' }, { b: 1 }, { a: 'x', b: 2 }],
    ],
    ['or within or', { $or: [{ $or: [{ a: [1] }, { b: [1] }] }, { c: [1] }] }, [{ b: 1 }, { c: 1 }], [{ a: 2 }]],
    ['names of every object', { constructor: [{ exists: true }] }, [{ constructor: 1 }], [{}]],
    [
      'numbers among attributes are texts',
      { attributes: { n: [{ numeric: ['>', 5] }], m: [7] } },
      [{ attributes: { n: '6', m: '7' } }],
      [{ attributes: { n: '5', m: '7' } }, { attributes: { n: 'x', m: '7' } }],
    ],
    [
      'anything but a number among attributes',
      { attributes: { n: [{ 'anything-but': 7 }] } },
      [{ attributes: { n: '8' } }],
      [{ attributes: { n: '7' } }],
    ],
  ];
  for (const [what, pattern, fit, not] of cases)
    test(what, () => {
      for (const event of fit) assert.equal(fits(pattern, event), true, JSON.stringify(event));
      for (const event of not) assert.equal(fits(pattern, event), false, JSON.stringify(event));
    });
});

describe('what is no pattern', () => {
  const cases: [pattern: unknown, path: string, message: RegExp][] = [
    [{}, '', /no key/],
    ['x', '', /a pattern such as/],
    [{ a: 'x' }, 'a', /expected a list/],
    [{ a: [] }, 'a', /expected a list/],
    [{ a: { prefix: 'x' } }, 'a', /put the prefix into a list/],
    [{ a: [{ prefx: 'x' }] }, 'a.0.prefx', /did you mean 'prefix'/],
    [{ a: [{ prefix: 'x', suffix: 'y' }] }, 'a.0', /an object of its own/],
    [{ a: [['x']] }, 'a.0', /expected a text, a number/],
    [{ a: [{ prefix: 5 }] }, 'a.0.prefix', /a text/],
    [{ a: [{ numeric: ['>'] }] }, 'a.0.numeric', /comparisons/],
    [{ a: [{ numeric: ['>', '5'] }] }, 'a.0.numeric', /comparisons/],
    [{ a: [{ numeric: ['<', 5, '>', 0] }] }, 'a.0.numeric', /lower bound first/],
    [{ a: [{ numeric: ['>', 5, '<', 5] }] }, 'a.0.numeric', /holds a number/],
    [{ a: [{ exists: 'yes' }] }, 'a.0.exists', /true or false/],
    [{ a: [{ cidr: '10.0.0.0/33' }] }, 'a.0.cidr', /range of addresses/],
    [{ a: [{ wildcard: 'a**b' }] }, 'a.0.wildcard', /no '\*\*'/],
    [{ a: [{ wildcard: String.raw`a\b` }] }, 'a.0.wildcard', /after each/],
    [{ a: [{ 'anything-but': [] }] }, 'a.0.anything-but', /a list of them/],
    [{ a: [{ 'anything-but': { numeric: ['>', 1] } }] }, 'a.0.anything-but', /a list of them/],
    [{ a: [{ 'anything-but': { prefix: [5] } }] }, 'a.0.anything-but', /a list of texts/],
    [{ $or: [{ a: [1] }] }, '$or', /two patterns or more/],
    [{ $or: [{ a: [1] }, { b: 1 }] }, '$or.1.b', /expected a list/],
    [{ a: ['x'.repeat(2_000)] }, 'a.0', /1024 characters/],
    [{ a: Array.from({ length: 501 }, (_, n) => n) }, 'a', /500 values/],
    [{ a: Array.from({ length: 101 }, (_, n) => ({ prefix: `x${n}` })) }, 'a.100.prefix', /100 values with an operator/],
    [{ a: [{ 'anything-but': { suffix: Array.from({ length: 101 }, (_, n) => `x${n}`) } }] }, 'a.0.anything-but', /100 values with an/],
    [{ a: [{ 'anything-but': Array.from({ length: 501 }, (_, n) => n) }] }, 'a.0.anything-but', /500 values/],
    [Array.from({ length: 20 }).reduce<Pattern>((inner) => ({ a: inner }), { a: [1] }), 'a.a.a.a.a.a.a.a.a.a.a.a.a', /12 levels/],
  ];
  for (const [given, path, message] of cases)
    test(JSON.stringify(given).slice(0, 60), () => {
      const problem = filterProblem(given);
      assert.equal(problem?.path.join('.'), path);
      assert.match(problem.message, message);
    });

  test('keys that are never there are named, with what was meant', () => {
    const roots = ['attributes', 'body', 'subject'];
    assert.equal(filterProblem({ attributes: { region: ['eu'] } }, roots), undefined);
    assert.deepEqual(filterProblem({ attribute: { region: ['eu'] } }, roots), {
      path: ['attribute'],
      message: "what is filtered has no 'attribute'; did you mean 'attributes'?",
    });
    assert.deepEqual(filterProblem({ $or: [{ body: ['x'] }, { region: ['eu'] }] }, roots)?.path, ['$or', 1, 'region']);
  });
});

/** As the text says it: every value of the pattern against every value of the event. */
function slowly(pattern: Pattern, event: unknown): boolean {
  return Object.entries(pattern).every(([key, expected]) => {
    if (key === '$or') return (expected as Pattern[]).some((one) => slowly(one, event));
    const there = typeof event === 'object' && event !== null && !Array.isArray(event) && Object.keys(event).includes(key);
    const value = there ? (event as Pattern)[key] : undefined;
    if (!Array.isArray(expected)) {
      const objects = [value].flat(4).filter((one) => typeof one === 'object' && one !== null && !Array.isArray(one));
      return objects.length === 0 ? slowly(expected as Pattern, {}) : objects.some((one) => slowly(expected as Pattern, one));
    }
    const elements = there ? [value].flat(4) : [];
    return expected.some((one: unknown) => {
      const [operator, operand] = typeof one === 'object' && one !== null ? (Object.entries(one)[0] as [string, unknown]) : ['', one];
      if (operator === 'exists') return elements.some((element) => element === null || typeof element !== 'object') === operand;
      return elements.some((element) => slowValue(operator, operand, element));
    });
  });
}

function slowValue(operator: string, operand: unknown, element: unknown): boolean {
  const text = typeof element === 'string' ? element : undefined;
  switch (operator) {
    case '':
      return element === operand;
    case 'prefix':
      return text !== undefined && text.slice(0, (operand as string).length) === operand;
    case 'suffix':
      return text !== undefined && text.slice(Math.max(0, text.length - (operand as string).length)) === operand;
    case 'equals-ignore-case':
      return text !== undefined && text.toLowerCase() === (operand as string).toLowerCase();
    case 'wildcard':
      return text !== undefined && asRegExp(operand as string).test(text);
    case 'anything-but':
      if (typeof operand === 'object' && operand !== null && !Array.isArray(operand)) {
        const [inner, values] = Object.entries(operand)[0] as [string, unknown];
        return (element === null || typeof element !== 'object') && ![values].flat().some((one) => slowValue(inner, one, element));
      }
      return (element === null || typeof element !== 'object') && ![operand].flat().includes(element);
    case 'numeric': {
      const [[first, low], [second, high]] = [(operand as unknown[]).slice(0, 2), (operand as unknown[]).slice(2)] as [
        [string, number],
        [string?, number?],
      ];
      const holds = (sign: string, bound: number): boolean =>
        typeof element === 'number' &&
        (sign === '='
          ? element === bound
          : sign.startsWith('<')
            ? element < bound || (sign === '<=' && element === bound)
            : element > bound || (sign === '>=' && element === bound));
      return holds(first, low) && (second === undefined || holds(second, high!));
    }
    default:
      throw new Error(operator);
  }
}

function asRegExp(wildcard: string): RegExp {
  const source = wildcard.replaceAll(/\\([\\*])|\*|[^]/g, (part: string, escaped: string | undefined) =>
    escaped === undefined ? (part === '*' ? '[^]*' : RegExp.escape(part)) : RegExp.escape(escaped),
  );
  return new RegExp(`^${source}$`);
}

const key = fc.constantFrom('a', 'b', 'c');
const text = fc.string({ unit: fc.constantFrom('a', 'B', 'b'), maxLength: 4 });
const scalar = fc.oneof(text, fc.integer({ min: -2, max: 3 }), fc.boolean(), fc.constant(null));
const wildcard = fc
  .array(fc.constantFrom('a', 'b', '*', String.raw`\*`), { maxLength: 6 })
  .map((parts) => parts.join('').replaceAll(/(?<!\\)\*+/g, '*'))
  .filter((one) => filterProblem({ a: [{ wildcard: one }] }) === undefined);
const matcher = fc.oneof(
  { weight: 4, arbitrary: scalar },
  text.map((one) => ({ prefix: one })),
  text.map((one) => ({ suffix: one })),
  text.map((one) => ({ 'equals-ignore-case': one })),
  wildcard.map((one) => ({ wildcard: one })),
  fc.boolean().map((one) => ({ exists: one })),
  fc.array(scalar, { minLength: 1, maxLength: 3 }).map((one) => ({ 'anything-but': one })),
  text.map((one) => ({ 'anything-but': { prefix: one } })),
  fc.array(wildcard, { minLength: 1, maxLength: 2 }).map((one) => ({ 'anything-but': { wildcard: one } })),
  fc.integer({ min: -2, max: 2 }).chain((low) => fc.constantFrom('=', '<', '<=', '>', '>=').map((sign) => ({ numeric: [sign, low] }))),
  fc.integer({ min: -2, max: 1 }).map((low) => ({ numeric: ['>=', low, '<', low + 2] })),
);
const patterns = fc.letrec<{ pattern: Pattern }>((tie) => ({
  pattern: fc
    .dictionary(
      key,
      fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.array(matcher, { minLength: 1, maxLength: 3 }),
        tie('pattern') as fc.Arbitrary<unknown>,
      ),
      { minKeys: 1, maxKeys: 2 },
    )
    .chain((one) =>
      fc.oneof(
        { weight: 4, arbitrary: fc.constant(one) },
        fc
          .array(fc.dictionary(key, fc.array(matcher, { minLength: 1, maxLength: 2 }), { minKeys: 1 }), { minLength: 2, maxLength: 3 })
          .map(($or) => ({ ...one, $or })),
      ),
    ),
}));
const event = fc.object({ key, values: [text, fc.integer({ min: -2, max: 3 }), fc.boolean(), fc.constant(null)], maxDepth: 3, maxKeys: 4 });

describe('by chance', () => {
  test('the compiled filter says what the slow one says', () => {
    let matched = 0;
    fc.assert(
      fc.property(patterns.pattern, event, (one, happened) => {
        assert.equal(filterProblem(one), undefined);
        const expected = slowly(one, happened);
        if (expected) matched++;
        assert.equal(compileFilter(one)(happened), expected);
      }),
      { numRuns: 5_000 },
    );
    assert.ok(matched > 100, `only ${matched} of 5000 fit: the test says little`);
  });

  test('a wildcard fits what its regular expression fits', () => {
    fc.assert(
      fc.property(wildcard, fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 12 }), (one, happened) => {
        assert.equal(wildcardTest(one)(happened), asRegExp(one).test(happened), `${one} ${happened}`);
      }),
      { numRuns: 5_000 },
    );
  });

  test('whatever is no pattern is refused, and does not throw', () => {
    fc.assert(
      fc.property(fc.anything(), (one) => void filterProblem(one, ['a'])),
      { numRuns: 2_000 },
    );
  });
});

test('long texts full of beginnings of what is looked for are told right', () => {
  const wildcards = [`*${'a'.repeat(500)}b*`, `${'*a'.repeat(400)}b`, `*${'ab'.repeat(200)}c*${'ab'.repeat(200)}c*`];
  const texts = ['a'.repeat(262_144), 'ab'.repeat(131_072)];
  const steps = texts.flatMap((one) => wildcards.map((each) => wildcardTest(each)(one)));
  assert.deepEqual(steps, [false, false, false, false, true, false]);
});
