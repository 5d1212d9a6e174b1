// A regular expression of ECMAScript (flag u, as JSON Schema means it) in the syntax of RE2, which has none of the meanings that need
// backtracking. Invariant: a translated pattern matches what the original does; what RE2 cannot say is refused, never approximated.
// Used by pattern.ts.

export class Untranslatable extends Error {}

const SPACE = '\\t\\n\\x0b\\f\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';
const NOT_SPACE =
  '\\x00-\\x08\\x0e-\\x1f!-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}';
const CLASSES: Record<string, string> = {
  d: '0-9',
  D: '\\x00-/:-\\x{10ffff}',
  w: '0-9A-Z_a-z',
  W: '\\x00-/:-@\\[-\\^`{-\\x{10ffff}',
  s: SPACE,
  S: NOT_SPACE,
};
const CONTROLS: Record<string, number> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
/** Long names of general categories, as ECMAScript takes them beside the short ones. */
const CATEGORIES: Record<string, string> = {
  Letter: 'L',
  Uppercase_Letter: 'Lu',
  Lowercase_Letter: 'Ll',
  Titlecase_Letter: 'Lt',
  Modifier_Letter: 'Lm',
  Other_Letter: 'Lo',
  Mark: 'M',
  Nonspacing_Mark: 'Mn',
  Number: 'N',
  Decimal_Number: 'Nd',
  Punctuation: 'P',
  Symbol: 'S',
  Currency_Symbol: 'Sc',
  Separator: 'Z',
  Space_Separator: 'Zs',
};
const SHORT_CATEGORY = /^(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?)$/;

/** `source` compiles as `new RegExp(source, 'u')`. Throws Untranslatable. */
export function translated(source: string): string {
  return new Translator(source).whole();
}

class Translator {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  whole(): string {
    let out = '';
    while (this.#at < this.#source.length) out += this.#piece();
    return out;
  }

  #piece(): string {
    const point = this.#source.codePointAt(this.#at)!;
    const char = String.fromCodePoint(point);
    this.#at += char.length;
    if (char === '\\') return this.#escape();
    if (char === '[') return this.#class();
    if (char === '(') return this.#open();
    if (char === '{') return this.#count();
    if (char === '.') return '[^\\n\\r\\x{2028}\\x{2029}]';
    if (char === '^') return '\\A';
    if (char === '$') return '\\z';
    if (')|*+?'.includes(char)) return char;
    return literal(point);
  }

  #count(): string {
    const end = this.#source.indexOf('}', this.#at);
    const text = this.#source.slice(this.#at, end);
    this.#at = end + 1;
    return `{${text}}`;
  }

  #open(): string {
    const rest = this.#source.slice(this.#at);
    if (!rest.startsWith('?')) return '(?:'; // what a group caught is never asked for
    if (rest.startsWith('?:')) {
      this.#at += 2;
      return '(?:';
    }
    if (/^\?<?[=!]/.test(rest)) throw new Untranslatable('it looks ahead or behind ((?=, (?!, (?<=, (?<!)');
    const name = /^\?<[^=!>][^>]*>/.exec(rest);
    if (name === null) throw new Untranslatable('it changes flags inside ((?i: and the like)');
    this.#at += name[0].length;
    return '(?:';
  }

  #escape(): string {
    const next = this.#source[this.#at]!;
    if (next === 'b' || next === 'B') {
      this.#at++;
      return `\\${next}`;
    }
    if (/[1-9k]/.test(next)) throw new Untranslatable(`it refers back to a group (\\${next})`);
    const set = this.#set();
    return set === undefined ? literal(this.#character()) : `[${set}]`;
  }

  /** After a backslash: `d`, `W`, `p{…}` as the inside of a class; undefined: it is one character. */
  #set(): string | undefined {
    const next = this.#source[this.#at]!;
    const named = CLASSES[next];
    if (named !== undefined) {
      this.#at++;
      return named;
    }
    if (next !== 'p' && next !== 'P') return undefined;
    const end = this.#source.indexOf('}', this.#at);
    const text = this.#source.slice(this.#at + 2, end);
    this.#at = end + 1;
    const [key, value] = text.split('=') as [string, string | undefined];
    const script = key === 'Script' || key === 'sc' ? value : undefined;
    const category = value === undefined ? key : key === 'General_Category' || key === 'gc' ? value : undefined;
    const short = category === undefined ? undefined : (CATEGORIES[category] ?? (SHORT_CATEGORY.test(category) ? category : undefined));
    if (script === undefined && short === undefined) throw new Untranslatable(`it uses the property \\${next}{${text.slice(0, 40)}}`);
    return `\\${next}{${script ?? short}}`;
  }

  /** After a backslash. */
  #character(): number {
    const rest = this.#source.slice(this.#at);
    const pair = /^u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/i.exec(rest);
    if (pair !== null) {
      this.#at += pair[0].length;
      return (Number.parseInt(pair[1]!, 16) - 0xd800) * 0x400 + Number.parseInt(pair[2]!, 16) - 0xdc00 + 0x10000;
    }
    const code = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]+)\})/i.exec(rest);
    if (code !== null) {
      this.#at += code[0].length;
      return Number.parseInt(code[1] ?? code[2] ?? code[3]!, 16);
    }
    const control = /^c([a-z])/i.exec(rest);
    if (control !== null) {
      this.#at += 2;
      return control[1]!.charCodeAt(0) % 32;
    }
    this.#at++;
    return CONTROLS[rest[0]!] ?? rest.charCodeAt(0);
  }

  #class(): string {
    const negated = this.#source[this.#at] === '^';
    if (negated) this.#at++;
    let out = '';
    while (this.#source[this.#at] !== ']') out += this.#member();
    this.#at++;
    // RE2 knows no empty class.
    if (out === '') return negated ? '[\\x00-\\x{10ffff}]' : '[^\\x00-\\x{10ffff}]';
    return `[${negated ? '^' : ''}${out}]`;
  }

  #member(): string {
    const point = this.#source.codePointAt(this.#at)!;
    this.#at += point > 0xffff ? 2 : 1;
    if (point === 45 /* - */) return this.#source[this.#at] === ']' ? '\\-' : '-';
    if (point !== 92 /* \ */) return literal(point);
    if (this.#source[this.#at] === 'b') {
      this.#at++;
      return '\\x08';
    }
    return this.#set() ?? literal(this.#character());
  }
}

function literal(point: number): string {
  if (point >= 0xd800 && point <= 0xdfff) throw new Untranslatable('it names half of a surrogate pair');
  const char = String.fromCodePoint(point);
  return /^[A-Za-z0-9_ ]$/.test(char) ? char : `\\x{${point.toString(16)}}`;
}
