// Changes to flat lists of headers (name, value, name, value…), for the stages. Pure but for the list that is given.
import type { FlatHeaders } from '../protocol/frames.ts';

/** `names` in lower case. */
export function dropHeaders(headers: FlatHeaders, names: ReadonlySet<string>): void {
  let kept = 0;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (names.has(headers[i]!.toLowerCase())) continue;
    headers[kept] = headers[i]!;
    headers[kept + 1] = headers[i + 1]!;
    kept += 2;
  }
  headers.length = kept;
}

/** The first value; undefined: there is none. `name` in lower case. */
export function headerIn(headers: FlatHeaders, name: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) return headers[i + 1];
  return undefined;
}

/** https://www.rfc-editor.org/rfc/rfc9110#name-vary; `name` in lower case. */
export function addVary(headers: FlatHeaders, name: string): void {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== 'vary') continue;
    const names = headers[i + 1]!.split(',').map((one) => one.trim().toLowerCase());
    if (!names.includes('*') && !names.includes(name)) headers[i + 1] += `, ${name}`;
    return;
  }
  headers.push('vary', name);
}
