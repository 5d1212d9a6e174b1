// `$ref` within one schema document: `#`, `#/$defs/Note`, `#note`. Pure. Used by check.ts, compile.ts and protocol/openapi.

export type Path = (string | number)[];
export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The tokens of `#/a/b~1c`; undefined: it is no pointer. */
export function pointerTokens(ref: string): string[] | undefined {
  if (ref === '#' || ref === '') return [];
  if (!ref.startsWith('#/')) return undefined;
  try {
    return ref
      .slice(2)
      .split('/')
      .map((token) => decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~'));
  } catch {
    return undefined;
  }
}

/** What stands at the end of the tokens; undefined: nothing. */
export function valueAt(root: unknown, tokens: readonly string[]): unknown {
  let at = root;
  for (const token of tokens) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, token)) return undefined;
    at = (at as JsonObject)[token];
  }
  return at;
}

/** `#/items/0/a~1b`, as the fragment of a URI (RFC 6901, section 6). */
export function pointerText(path: readonly (string | number)[]): string {
  return `#${path.map((part) => `/${encodeURIComponent(String(part).toWellFormed().replaceAll('~', '~0').replaceAll('/', '~1'))}`).join('')}`;
}
