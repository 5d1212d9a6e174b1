// Rows as aligned columns, for people. Pure: the caller has coloured the cells; colours do not count as width.
// Used by the commands that list things.
import { stripVTControlCharacters } from 'node:util';

/** No heading when `headings` is empty. Columns whose heading begins with `>` are aligned to the right. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  paintHeading: (text: string) => string = (text) => text,
): string {
  const right = headings.map((heading) => heading.startsWith('>'));
  const top = headings.map((heading) => heading.replace(/^>/, ''));
  const lines = top.length === 0 ? [...rows] : [top, ...rows];
  const widths: number[] = [];
  for (const row of lines) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, width(cell));
  return lines
    .map((row, line) => {
      const cells = row.map((cell, index) => {
        const gap = ' '.repeat(widths[index]! - width(cell));
        const shown = line === 0 && top.length > 0 ? paintHeading(cell) : cell;
        return right[index] ? gap + shown : shown + gap;
      });
      return cells.join('  ').trimEnd();
    })
    .join('\n');
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}
