// Header fields, which travel flat (name, value, name, value…), as Azure's protocol has them. Pure; called by http.ts and http-stream.ts.

/** Names in lower case, values of one name joined. */
export function headersOf(flat: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    headers[name] = name in headers ? `${headers[name]}${name === 'cookie' ? '; ' : ', '}${flat[i + 1]}` : flat[i + 1]!;
  }
  return headers;
}

/** With these fields in place of those of the same names, which are in lower case. */
export function withFields(flat: readonly string[], fields: Record<string, string>): string[] {
  const names = flat.map((_, i) => flat[i - (i % 2)]!.toLowerCase());
  return [...flat.filter((_, i) => !Object.hasOwn(fields, names[i]!)), ...Object.entries(fields).flat()];
}
