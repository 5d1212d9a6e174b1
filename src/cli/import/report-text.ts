// The report for people: what was left first, since that is what there is to do; then what was changed, then what was carried over,
// a line for each function. Used by the commands import and export.
import type { Terminal } from '../terminal.ts';
import type { Fate, Item } from './report.ts';

export interface Counts {
  carried: number;
  changed: number;
  left: number;
}

export function countsOf(items: readonly Item[]): Counts {
  const count = (fate: Fate): number => items.filter((item) => item.fate === fate).length;
  return { carried: count('carried'), changed: count('changed'), left: count('left') };
}

export function reportText(items: readonly Item[], terminal: Terminal): string {
  const [idle, left] = parted(
    items.filter((item) => item.fate === 'left'),
    (item) => item.note.startsWith('nothing to do'),
  );
  const changed = items.filter((item) => item.fate === 'changed');
  const parts = [
    ...block('Not carried over, and what to do about it:', left.map(itemText), terminal),
    ...block('Not carried over, and not needed:', idle.map(itemText), terminal),
    ...block('Changed:', changed.map(itemText), terminal),
    ...block('Carried over as it was:', carriedLines(items.filter((item) => item.fate === 'carried')), terminal),
  ];
  return parts.join('\n');
}

function parted<T>(all: readonly T[], test: (one: T) => boolean): [yes: T[], no: T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

function block(title: string, lines: string[], terminal: Terminal): string[] {
  return lines.length === 0 ? [] : [terminal.paint('bold', title), ...lines.map((line) => `  ${line}`)];
}

function itemText({ file, line, subject, what, note }: Item): string {
  return `${file}:${line} ${subject === '' ? '' : `${subject}: `}${what}: ${note.replace(/^nothing to do: /, '')}`;
}

/** `serverless.yml:12 create-order: function, memory 512 MiB (14), GET /orders (17)`. */
function carriedLines(items: readonly Item[]): string[] {
  const groups = Map.groupBy(items, (item) => `${item.subject}\0${item.file}`);
  return [...groups.values()].map((group) => {
    const [first] = group;
    const things = group.map(({ what, line }) => (line === first!.line ? what : `${what} (${line})`));
    return `${first!.file}:${first!.line} ${first!.subject === '' ? '' : `${first!.subject}: `}${things.join(', ')}`;
  });
}
