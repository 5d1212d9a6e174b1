// JSON whose numbers stay as they were written. A double has some 16 digits: what has more (ids of 64 bits, prices in other currencies)
// would come out as another number, and 1e400 as null. Invariant: JSON.stringify of what is parsed here has the same numbers as the text.
// Such a number is an object of JSON.rawJSON, so code that calculates parses by itself. Used where events and messages come in.

/** Where a number may be that a double does not hold. */
const LONG = /[\d.]{16}|\d[eE][+-]?\d{3}/;

interface RawJson {
  rawJSON(text: string): unknown;
}

export function hasLongNumbers(text: string): boolean {
  return LONG.test(text);
}

/** `check` hears each key, where `asked` or a long number make it worth the time: a reviver costs ten times the parsing. */
export function parseExact(text: string, { asked = false, check }: { asked?: boolean; check?: (key: string) => void } = {}): unknown {
  if (!asked && !LONG.test(text)) return JSON.parse(text) as unknown;
  return JSON.parse(text, (key: string, value: unknown, { source }: { source?: string } = {}) => {
    check?.(key);
    if (typeof value !== 'number' || source === undefined || String(value) === source || !LONG.test(source)) return value;
    return (JSON as unknown as RawJson).rawJSON(source);
  }) as unknown;
}
