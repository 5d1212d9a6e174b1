// Patterns that say which events somebody is for, in the way of Amazon EventBridge: a pattern is an object of the event's shape whose
// leaves are lists of what may stand there. Invariants: pure; what filterProblem() lets through compiles; a match costs time linear in
// the event for each value of the pattern, wildcards included, and looks no deeper into the event than the pattern goes.
// Callers: protocol/sources/filter.ts (at deploy), events/filters.ts.
//
//   {type: [order.placed, {prefix: invoice.}], data: {total: [{numeric: [">", 100]}], $or: [{vip: [true]}, {country: [ES, PT]}]}}
//
// All keys of an object have to fit; of a list one value. Where the event has an array, one element has to fit.
import { BlockList, isIP } from 'node:net';
import { closestWord } from './closest-word.ts';
import { wildcardTest } from './wildcard.ts';

const DEPTH_MAX = 12;
const VALUES_MAX = 500;
/** Of those that are more than a value to be equal to, which are looked up at once: the others cost time for each element of the event. */
const TESTS_MAX = 100;
const TEXT_MAX = 1_024;
/** How far lists within lists of an event are looked into. */
const NESTED_LISTS_MAX = 4;

export interface FilterProblem {
  path: PropertyKey[];
  message: string;
}

type Test = (value: unknown) => boolean;
type Scalar = string | number | boolean | null;

const OPERATORS = ['prefix', 'suffix', 'equals-ignore-case', 'wildcard', 'anything-but', 'numeric', 'exists', 'cidr'] as const;
type Operator = (typeof OPERATORS)[number];
const COMPARISONS = ['=', '<', '<=', '>', '>='] as const;
type Comparison = (typeof COMPARISONS)[number];
const EXAMPLE = 'a list of what may stand there, such as [eu, {prefix: us-}]';

/** `roots`: the keys that an event has at the top; without it any. */
export function filterProblem(pattern: unknown, roots?: readonly string[]): FilterProblem | undefined {
  const count = { values: 0, tests: 0 };
  if (isObject(pattern) && roots !== undefined) {
    const strange = rootsOf(pattern).find(({ key }) => !roots.includes(key));
    if (strange !== undefined) {
      const meant = closestWord(strange.key, roots);
      const remedy = meant === undefined ? `there are ${roots.join(', ')}` : `did you mean '${meant}'?`;
      return { path: strange.path, message: `what is filtered has no '${strange.key}'; ${remedy}` };
    }
  }
  return objectProblem(pattern, [], count);
}

function rootsOf(pattern: Record<string, unknown>, path: PropertyKey[] = []): { key: string; path: PropertyKey[] }[] {
  return Object.entries(pattern).flatMap(([key, value]) => {
    if (key !== '$or' || !Array.isArray(value) || path.length > DEPTH_MAX) return [{ key, path: [...path, key] }];
    return value.flatMap((one, index) => (isObject(one) ? rootsOf(one, [...path, key, index]) : []));
  });
}

interface Count {
  values: number;
  tests: number;
}

function objectProblem(pattern: unknown, path: PropertyKey[], count: Count): FilterProblem | undefined {
  if (!isObject(pattern)) return { path, message: `expected a pattern such as {type: [order.placed]}` };
  if (path.length > DEPTH_MAX) return { path, message: `a pattern is at most ${DEPTH_MAX} levels deep` };
  const entries = Object.entries(pattern);
  if (entries.length === 0) return { path, message: 'it has no key; leave it out to take all events' };
  for (const [key, value] of entries) {
    const at = [...path, key];
    if (key === '$or') {
      if (!Array.isArray(value) || value.length < 2) return { path: at, message: 'expected a list of two patterns or more' };
      for (const [index, one] of value.entries()) {
        const problem = objectProblem(one, [...at, index], count);
        if (problem !== undefined) return problem;
      }
    } else if (Array.isArray(value)) {
      if (value.length === 0) return { path: at, message: `expected ${EXAMPLE}` };
      count.values += value.length;
      if (count.values > VALUES_MAX) return { path: at, message: `a pattern has at most ${VALUES_MAX} values` };
      for (const [index, one] of value.entries()) {
        const problem = valueProblem(one, [...at, index], count);
        if (problem !== undefined) return problem;
      }
    } else if (isObject(value)) {
      const operator = Object.keys(value)[0];
      if (operator !== undefined && isOperator(operator) && !isObject(value[operator]))
        return { path: at, message: `expected ${EXAMPLE}: put the ${operator} into a list` };
      const problem = objectProblem(value, at, count);
      if (problem !== undefined) return problem;
    } else return { path: at, message: `expected ${EXAMPLE}` };
  }
  return undefined;
}

function valueProblem(value: unknown, path: PropertyKey[], count: Count): FilterProblem | undefined {
  if (isScalar(value)) return scalarProblem(value, path);
  if (!isObject(value)) return { path, message: 'expected a text, a number, true, false, null, or an object such as {prefix: us-}' };
  const keys = Object.keys(value);
  if (keys.length !== 1) return { path, message: `expected one of ${OPERATORS.join(', ')} in an object of its own` };
  const [operator] = keys as [string];
  if (!isOperator(operator)) {
    const meant = closestWord(operator, OPERATORS);
    return {
      path: [...path, operator],
      message: meant === undefined ? `expected one of ${OPERATORS.join(', ')}` : `did you mean '${meant}'?`,
    };
  }
  count.tests++;
  const message = operandProblem(operator, value[operator], count) ?? tooMany(count);
  return message === undefined ? undefined : { path: [...path, operator], message };
}

function tooMany({ tests }: Count): string | undefined {
  return tests > TESTS_MAX ? `a pattern has at most ${TESTS_MAX} values with an operator` : undefined;
}

function scalarProblem(value: Scalar, path: PropertyKey[]): FilterProblem | undefined {
  if (typeof value === 'string' && value.length > TEXT_MAX) return { path, message: `a text has at most ${TEXT_MAX} characters` };
  if (typeof value === 'number' && !Number.isFinite(value)) return { path, message: 'expected a number of JSON' };
  return undefined;
}

/** What is wrong with what follows an operator. */
function operandProblem(operator: Operator, operand: unknown, count: Count): string | undefined {
  switch (operator) {
    case 'prefix':
    case 'suffix':
      if (isObject(operand)) return isIgnoringCase(operand) ? undefined : `expected a text, or {equals-ignore-case: …}`;
      return isText(operand) ? undefined : `expected a text of at most ${TEXT_MAX} characters`;
    case 'equals-ignore-case':
      return isText(operand) ? undefined : `expected a text of at most ${TEXT_MAX} characters`;
    case 'wildcard':
      return wildcardProblem(operand);
    case 'exists':
      return typeof operand === 'boolean' ? undefined : 'expected true or false';
    case 'cidr':
      return isRange(operand) ? undefined : 'expected a range of addresses such as 10.0.0.0/8 or 2001:db8::/32';
    case 'numeric':
      return numericProblem(operand);
    case 'anything-but':
      return anythingButProblem(operand, count);
  }
}

function wildcardProblem(operand: unknown): string | undefined {
  if (!isText(operand)) return `expected a text of at most ${TEXT_MAX} characters, in which * stands for any`;
  if (/(?<!\\)(?:\\\\)*\*\*/.test(operand)) return "expected no '**': one * stands for any number of characters";
  return /^(?:[^\\]|\\[\\*])*$/s.test(operand) ? undefined : String.raw`expected after each \ a * or a \ that is meant itself`;
}

function numericProblem(operand: unknown): string | undefined {
  const example = 'expected comparisons such as [">", 0, "<=", 5] or ["=", 5]';
  if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4)) return example;
  for (let index = 0; index < operand.length; index += 2) {
    if (!COMPARISONS.includes(operand[index] as Comparison) || !Number.isFinite(operand[index + 1])) return example;
  }
  if (operand.length === 2) return undefined;
  const [first, low, second, high] = operand as [string, number, string, number];
  if (!first.startsWith('>') || !second.startsWith('<')) return 'expected of a range the lower bound first, such as [">", 0, "<=", 5]';
  return low > high || (low === high && (first === '>' || second === '<')) ? 'expected a range that holds a number' : undefined;
}

function anythingButProblem(operand: unknown, count: Count): string | undefined {
  const example = 'expected a text or number, a list of them, or {prefix: …}, {suffix: …}, {equals-ignore-case: …}, {wildcard: …}';
  if (!isObject(operand)) {
    const all: unknown[] = Array.isArray(operand) ? operand : [operand];
    count.values += all.length - 1;
    if (count.values > VALUES_MAX) return `a pattern has at most ${VALUES_MAX} values`;
    if (all.length === 0 || !all.every((one) => isScalar(one) && scalarProblem(one, []) === undefined)) return example;
    return undefined;
  }
  const [[operator, value] = ['', undefined], ...more] = Object.entries(operand);
  if (more.length > 0 || !['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].includes(operator)) return example;
  const all: unknown[] = Array.isArray(value) ? value : [value];
  count.values += all.length - 1;
  count.tests += all.length - 1;
  if (all.length === 0) return example;
  if (count.values > VALUES_MAX) return `a pattern has at most ${VALUES_MAX} values`;
  for (const one of all) {
    const problem = isText(one)
      ? operandProblem(operator as Operator, one, count)
      : `expected a text, or a list of texts, after ${operator}`;
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** `pattern` has no problem. */
export function compileFilter(pattern: Record<string, unknown>): (event: unknown) => boolean {
  return compileObject(pattern, { texts: false, top: true });
}

/** `texts`: numbers are written as texts there, as the attributes of messages are. */
interface Place {
  texts: boolean;
  top: boolean;
}

function compileObject(pattern: Record<string, unknown>, place: Place): Test {
  const tests = Object.entries(pattern).map(([key, value]): Test => {
    if (key === '$or') {
      const any = (value as Record<string, unknown>[]).map((one) => compileObject(one, place));
      return (event) => any.some((test) => test(event));
    }
    const below = { texts: place.texts || (place.top && key === 'attributes'), top: false };
    const test = Array.isArray(value) ? compileValues(value, below) : ofElements(compileObject(value as Record<string, unknown>, below));
    return (event) => test(Object.hasOwn(event as object, key) ? (event as Record<string, unknown>)[key] : undefined);
  });
  return (event) => isObject(event) && tests.every((test) => test(event));
}

function ofElements(test: Test): Test {
  return (value) => {
    if (isObject(value)) return test(value);
    return anyElement(value, isObject, NESTED_LISTS_MAX) ? anyElement(value, test, NESTED_LISTS_MAX) : test(NOTHING);
  };
}

/** Where the event has no object, `exists: false` may still fit what a pattern has below it. */
const NOTHING: Record<string, unknown> = Object.freeze(Object.create(null) as Record<string, unknown>);

function compileValues(values: unknown[], place: Place): Test {
  const absent = values.some((value) => isObject(value) && value['exists'] === false);
  const present = values.some((value) => isObject(value) && value['exists'] === true);
  const fits = compileFits(
    values.filter((value) => !(isObject(value) && 'exists' in value)),
    place,
  );
  if (!absent && !present) return (value) => anyElement(value, fits, NESTED_LISTS_MAX);
  // Of leaves alone, as at EventBridge: an object or an empty list in the place of a value is none.
  return (value) => (anyElement(value, isScalar, NESTED_LISTS_MAX) ? present || anyElement(value, fits, NESTED_LISTS_MAX) : absent);
}

/** Whether a scalar is one of them. What can be looked up for all at once is: an event may have many elements, and a pattern many values. */
function compileFits(values: unknown[], place: Place): Test {
  const exact = new Set<unknown>();
  const tests: Test[] = [];
  const folded = new Set<string>();
  const ofFolded: ((text: string) => boolean)[] = [];
  const ranges: string[] = [];
  for (const value of values) {
    if (!isObject(value)) {
      exact.add(value);
      continue;
    }
    const [operator, operand] = Object.entries(value)[0] as [Operator, unknown];
    if (operator === 'cidr') ranges.push(operand as string);
    else if (operator === 'equals-ignore-case') folded.add((operand as string).toLowerCase());
    else if (isObject(operand) && (operator === 'prefix' || operator === 'suffix')) {
      const end = (operand as Record<string, string>)['equals-ignore-case']!.toLowerCase();
      ofFolded.push((text) => (operator === 'prefix' ? text.startsWith(end) : text.endsWith(end)));
    } else tests.push(compileOperator([operator, operand], place));
  }
  if (folded.size > 0) ofFolded.push((text) => folded.has(text));
  if (ofFolded.length > 0)
    tests.push((value) => {
      if (typeof value !== 'string') return false;
      const text = value.toLowerCase();
      return ofFolded.some((test) => test(text));
    });
  if (ranges.length > 0) tests.push(compileRanges(ranges));
  const numbers = place.texts && values.some((value) => typeof value === 'number');
  return (value) => exact.has(value) || (numbers && exact.has(numberOf(value, place))) || tests.some((test) => test(value));
}

function compileRanges(ranges: readonly string[]): Test {
  const list = new BlockList();
  for (const range of ranges) {
    const [address, bits] = range.split('/') as [string, string];
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return (value) => {
    const family = typeof value === 'string' ? isIP(value) : 0;
    return family !== 0 && list.check(value as string, family === 6 ? 'ipv6' : 'ipv4');
  };
}

function anyElement(value: unknown, fits: Test, levels: number): boolean {
  if (!Array.isArray(value)) return fits(value);
  return levels > 0 && value.some((one) => anyElement(one, fits, levels - 1));
}

function compileOperator([operator, operand]: [Operator, unknown], place: Place): Test {
  switch (operator) {
    case 'prefix':
      return (value) => typeof value === 'string' && value.startsWith(operand as string);
    case 'suffix':
      return (value) => typeof value === 'string' && value.endsWith(operand as string);
    case 'wildcard': {
      const test = wildcardTest(operand as string);
      return (value) => typeof value === 'string' && test(value);
    }
    case 'numeric': {
      const comparisons = operand as (Comparison | number)[];
      return (value) => {
        const number = numberOf(value, place);
        if (number === undefined) return false;
        for (let index = 0; index < comparisons.length; index += 2)
          if (!compares(number, comparisons[index] as Comparison, comparisons[index + 1] as number)) return false;
        return true;
      };
    }
    case 'anything-but':
      return compileAnythingBut(operand, place);
    default:
      throw new Error(`${operator} is compiled with the others of its list`);
  }
}

function compileAnythingBut(operand: unknown, place: Place): Test {
  const [operator, not] = isObject(operand) ? Object.entries(operand)[0]! : [undefined, operand];
  const all: unknown[] = Array.isArray(not) ? not : [not];
  const fits = compileFits(operator === undefined ? all : all.map((one) => ({ [operator]: one })), place);
  return (value) => isScalar(value) && !fits(value);
}

function compares(value: number, comparison: Comparison, bound: number): boolean {
  switch (comparison) {
    case '=':
      return value === bound;
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '>=':
      return value >= bound;
  }
}

function numberOf(value: unknown, { texts }: Place): number | undefined {
  if (typeof value === 'number') return value;
  return texts && typeof value === 'string' && /^-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?$/.test(value) ? Number(value) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_MAX;
}

function isIgnoringCase(value: Record<string, unknown>): boolean {
  return Object.keys(value).length === 1 && isText(value['equals-ignore-case']);
}

function isOperator(word: string): word is Operator {
  return (OPERATORS as readonly string[]).includes(word);
}

function isRange(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const [address = '', bits = '', ...more] = value.split('/');
  const family = isIP(address);
  return more.length === 0 && family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32);
}
