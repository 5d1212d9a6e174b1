// Rows as aligned columns, for people. Pure: the caller has coloured the cells; colours do not count as width. Invariant: nothing but
// colours in a cell reaches the terminal as more than a character of its line. Used by the commands that list things.
import { stripVTControlCharacters } from 'node:util';

/** No heading when `headings` is empty. Columns whose heading begins with `>` are aligned to the right. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  paintHeading: (text: string) => string = (text) => text,
): string {
  const right = headings.map((heading) => heading.startsWith('>'));
  const top = headings.map((heading) => heading.replace(/^>/, ''));
  const lines = [...(top.length === 0 ? [] : [top]), ...rows].map((row) => row.map(inLine));
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

function inLine(cell: string): string {
  return cell.replaceAll(/\r?\n|\r|\t/g, ' ').replaceAll(/\x1b(?!\[[\d;]*m)|[\x00-\x1a\x1c-\x1f\x7f-\x9f]/g, '·');
}

/** Two cells of a terminal each: ideographs, Hangul, full-width forms, emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/gu;
/** None: what joins or modifies the character before. */
const NARROW = /\p{Mn}|\p{Me}|\p{Cf}/gu;

function width(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[\x20-\x7e]*$/.test(plain)) return plain.length;
  return Array.from(plain.replaceAll(NARROW, '').replaceAll(WIDE, '  ')).length;
}
