// The syntax of variables in serverless.yml: `${type:address}`, `${type(parameter):address}`, fallbacks after commas, one within another.
// Invariant: what is none of these (`${AWS::Region}`, `${Table.Arn}` within a !Sub) stays text. Pure. Used by variables.ts.

export type Part = { text: string } | { sources: string[] };

export type Source = { literal: string | number | boolean | null } | { type: string; parameter: string | undefined; address: string };

const SOURCE = /^([A-Za-z][\w-]*)(?:\(([^()]*)\))?(?::(?!:)([\s\S]*))?$/;

/** The parts of a text; a `${…}` that is no variable is text. */
export function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  let literal = '';
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('${', at);
    if (open === -1) break;
    const close = closingBrace(text, open + 2);
    if (close === -1) break;
    literal += text.slice(at, open);
    const body = text.slice(open + 2, close);
    const sources = splitSources(body);
    if (sources.length > 0 && looksLikeSource(sources[0]!)) {
      if (literal !== '') parts.push({ text: literal });
      literal = '';
      parts.push({ sources });
    } else literal += text.slice(open, close + 1);
    at = close + 1;
  }
  literal += text.slice(at);
  if (literal !== '' || parts.length === 0) parts.push({ text: literal });
  return parts;
}

/** One source, after the variables within it were put in; undefined: it is not written as one. */
export function parseSource(text: string): Source | undefined {
  const source = text.trim();
  const quoted = /^'([^']*)'$|^"([^"]*)"$/.exec(source);
  if (quoted) return { literal: quoted[1] ?? quoted[2] ?? '' };
  if (/^-?\d+(?:\.\d+)?$/.test(source)) return { literal: Number(source) };
  if (source === 'true' || source === 'false') return { literal: source === 'true' };
  if (source === 'null') return { literal: null };
  const [, type, parameter, address] = SOURCE.exec(source) ?? [];
  if (type === undefined || (parameter === undefined && address === undefined)) return undefined;
  return { type, parameter: parameter?.trim(), address: (address ?? '').trim() };
}

function looksLikeSource(text: string): boolean {
  const plain = text.trim();
  return plain.startsWith('${') || /^['"]/.test(plain) || /^[A-Za-z][\w-]*(?:\(|:(?!:))/.test(plain);
}

/** At the commas that are neither in quotes nor in brackets. */
function splitSources(body: string): string[] {
  const sources: string[] = [];
  let depth = 0;
  let quote = '';
  let from = 0;
  for (let at = 0; at < body.length; at++) {
    const character = body[at]!;
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === "'" || character === '"') quote = character;
    else if (character === '{' || character === '(') depth++;
    else if (character === '}' || character === ')') depth--;
    else if (character === ',' && depth === 0) {
      sources.push(body.slice(from, at));
      from = at + 1;
    }
  }
  sources.push(body.slice(from));
  return sources.map((source) => source.trim()).filter((source) => source !== '');
}

function closingBrace(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && depth-- === 0) return at;
  }
  return -1;
}
