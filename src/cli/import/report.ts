// The report of an import or an export: what became of each thing, with its file and line. Invariant: an item names things (keys,
// names, paths, sizes), never the value of a variable. Filled by the readers, printed by report-text.ts.
import type { Place } from './tree.ts';

/** carried: as it was. changed: carried over, but not as it was. left: not carried over; `note` says what to do about it. */
export type Fate = 'carried' | 'changed' | 'left';

export interface Item {
  fate: Fate;
  file: string;
  line: number;
  /** The function, by its name in virga.yaml; empty: the project. */
  subject: string;
  what: string;
  /** How it was changed, or what to do about it; empty for what was carried over. */
  note: string;
}

/** A file can be made to have any number of mistakes. */
const ITEMS_MAX = 20_000;
const TEXT_MAX = 300;

export class Report {
  readonly #items: Item[] = [];
  readonly #seen = new Set<string>();

  carried(at: Place, subject: string, what: string): void {
    this.#add({ fate: 'carried', ...at, subject, what, note: '' });
  }

  changed(at: Place, subject: string, what: string, how: string): void {
    this.#add({ fate: 'changed', ...at, subject, what, note: how });
  }

  left(at: Place, subject: string, what: string, remedy: string): void {
    this.#add({ fate: 'left', ...at, subject, what, note: remedy });
  }

  /** By file and line, each once. */
  items(): Item[] {
    return this.#items.toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
  }

  #add(item: Item): void {
    const key = JSON.stringify(item);
    if (this.#seen.has(key) || this.#items.length >= ITEMS_MAX) return;
    this.#seen.add(key);
    const { fate, file, line, subject, what, note } = item;
    this.#items.push({ fate, file, line, subject, what: cut(what), note: cut(note) });
  }
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}
