// Regular expressions of tenants, which run in the process that all of them share: whatever the pattern and the text, matching takes
// time in proportion to the text. A pattern without alternatives and groups, bound to the beginning, with one repetition of
// any length cannot backtrack further than that and is V8's (40 million/s); all others are RE2's automata (re2js: 6 million/s).
// Rejected: proofs that V8 will not backtrack (safe-regex2 overlooks `(a|a)+`, recheck is a megabyte that may take seconds itself).
import { RE2JS } from 're2js';
import { translated, Untranslatable } from './pattern-syntax.ts';

export const PATTERN_CHARACTERS_MAX = 1_000;
const INSTRUCTIONS_MAX = 1_000;
/** Ways to divide a text among the repetitions of a flat pattern. */
const WAYS_MAX = 64;

export interface Pattern {
  test(text: string): boolean;
  /** Steps for each character of the text, at worst. */
  cost: number;
}

const UNIT = /(?:\\[dDwWsSnrtf\-/.^$*+?()[\]{}|\\]|\[(?:[^\\\][]|\\[dDwWsSnrtf\-/.^$*+?()[\]{}|\\])*\]|[^\\^$.*+?()[\]{}|]|\.)/.source;
const FLAT = new RegExp(`^\\^(?:${UNIT}(?:[*+?]|\\{\\d{1,4}(?:,\\d{0,4})?\\})?)*\\$?$`, 'u');
const REPETITIONS = new RegExp(`${UNIT}([*+?]|\\{(\\d{1,4})(,)?(\\d{0,4})\\})?`, 'gu');

/** The pattern, or what is wrong with it, to follow "expected a pattern that …". */
export function linearPattern(source: string): Pattern | string {
  if (source.length > PATTERN_CHARACTERS_MAX) return `has at most ${PATTERN_CHARACTERS_MAX} characters`;
  let native: RegExp;
  try {
    native = new RegExp(source, 'u');
  } catch (error) {
    return `is a regular expression of ECMAScript with the flag u (${(error as Error).message.replace(/^Invalid regular expression: /, '').slice(-120)})`;
  }
  const ways = FLAT.test(source) ? waysOf(source) : Number.POSITIVE_INFINITY;
  if (ways <= WAYS_MAX) return { test: (text) => native.test(text), cost: ways };
  try {
    const automaton = RE2JS.compile(translated(source));
    const cost = automaton.programSize();
    if (cost > INSTRUCTIONS_MAX) return `is smaller: its counted repetitions make ${cost} steps, and ${INSTRUCTIONS_MAX} are the most`;
    return { test: (text) => automaton.test(text), cost };
  } catch (error) {
    const why = error instanceof Untranslatable ? error.message : (error as Error).message.slice(0, 120);
    return `can be matched in time in proportion to the text, and ${why}`;
  }
}

/** Of a flat pattern: its longest repetition costs what the text is long, the others multiply; infinite when two have no end. */
function waysOf(source: string): number {
  const ranges: number[] = [];
  for (const [, repetition, from, comma, to] of source.slice(1).matchAll(REPETITIONS)) {
    if (repetition === undefined || (from !== undefined && comma === undefined)) continue;
    if (repetition === '*' || repetition === '+' || (from !== undefined && to === '')) ranges.push(Number.POSITIVE_INFINITY);
    else ranges.push(repetition === '?' ? 2 : Number(to) - Number(from) + 1);
  }
  const [, ...others] = ranges.toSorted((a, b) => b - a);
  return others.reduce((ways, range) => ways * range, 1);
}
