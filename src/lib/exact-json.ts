// JSON whose numbers stay what they are: one that a double cannot hold (2^53 and beyond, many digits, 1e400) is kept as it is written,
// and written again so. Used where documents of others come in, or are compared or changed in one place.

/** JSON.rawJSON and the source of a number, which the types of the language do not know yet. */
const Exact = JSON as unknown as {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown;
  rawJSON(text: string): { rawJSON: string };
  isRawJSON(value: unknown): value is { rawJSON: string };
};
/** Fewer digits always come back; a reviver takes several times as long. May be in a string: then it only takes longer. */
const MAYBE_INEXACT = /\d[\d.]{15}|\d[eE][+-]?\d{2}/;

/** Of a text of JSON; false: it has none that parseExactly() would keep as written. */
export function mayHaveLongNumbers(text: string): boolean {
  return MAYBE_INEXACT.test(text);
}

/** `check` hears each key where it is given. */
export function parseExactly(text: string, check?: (key: string) => void): unknown {
  if (check === undefined && !MAYBE_INEXACT.test(text)) return JSON.parse(text) as unknown;
  return Exact.parse(text, (key, value, { source }) => {
    check?.(key);
    return typeof value === 'number' && source !== undefined && MAYBE_INEXACT.test(source) && String(value) !== source
      ? Exact.rawJSON(source)
      : value;
  });
}

/** How a number is written that parseExactly() could not make a number of; undefined: it is something else. */
export function writtenNumber(value: unknown): string | undefined {
  return Exact.isRawJSON(value) ? value.rawJSON : undefined;
}
