// A mapping of a foreign file, read key by key. Invariant: what is not asked for is reported at the end (`finish`), so that nothing of
// the file is passed over in silence; and what has another type than expected, or cannot be known, is reported where it stands.
// Used by the readers of all formats.
import type { Report } from './report.ts';
import { isNothing, textOf } from './tree.ts';
import type { Mapping, Place, Tree } from './tree.ts';

/** Evaluates variables and intrinsic functions at the top of a tree; what is below it is evaluated when it is read. */
export type Resolve = (tree: Tree) => Tree;

export interface Reading {
  report: Report;
  resolve: Resolve;
  /** The function that this is about, by its name in virga.yaml; empty: the project. */
  subject: string;
  /** Names of the keys above, for the report: `events.http`. */
  path: string;
}

export interface Found<T> {
  value: T;
  at: Place;
}

export class Section {
  readonly at: Place;
  readonly reading: Reading;
  readonly #mapping: Mapping;
  readonly #taken = new Set<string>();

  constructor(mapping: Mapping, reading: Reading) {
    this.at = mapping.at;
    this.reading = reading;
    this.#mapping = mapping;
  }

  /** Where the key stands, else where the mapping begins. */
  placeOf(key: string): Place {
    return this.#mapping.entries.get(key)?.at ?? this.at;
  }

  has(key: string): boolean {
    return this.#mapping.entries.has(key);
  }

  /** The value, evaluated; undefined when it is absent or empty. */
  take(key: string): Tree | undefined {
    const entry = this.#mapping.entries.get(key);
    this.#taken.add(key);
    if (entry === undefined) return undefined;
    const value = this.reading.resolve(entry.value);
    return isNothing(value) ? undefined : value;
  }

  text(key: string): Found<string> | undefined {
    const tree = this.take(key);
    if (tree === undefined) return undefined;
    const value = textOf(tree);
    return value === undefined ? this.#refuse(key, tree, 'a text') : { value, at: this.placeOf(key) };
  }

  number(key: string): Found<number> | undefined {
    const tree = this.take(key);
    if (tree === undefined) return undefined;
    const value = Number(textOf(tree)?.trim() || Number.NaN);
    return Number.isFinite(value) ? { value, at: this.placeOf(key) } : this.#refuse(key, tree, 'a number');
  }

  boolean(key: string): Found<boolean> | undefined {
    const tree = this.take(key);
    if (tree === undefined) return undefined;
    const text = textOf(tree)?.toLowerCase();
    if (text !== 'true' && text !== 'false') return this.#refuse(key, tree, 'true or false');
    return { value: text === 'true', at: this.placeOf(key) };
  }

  /** The items of a list, each evaluated; none when it is absent. */
  list(key: string): Tree[] {
    const tree = this.take(key);
    if (tree === undefined) return [];
    if (tree.kind !== 'list') return (this.#refuse(key, tree, 'a list'), []);
    return tree.items.map((item) => this.reading.resolve(item)).filter((item) => !isNothing(item));
  }

  section(key: string, subject = this.reading.subject): Section | undefined {
    const tree = this.take(key);
    if (tree === undefined) return undefined;
    if (tree.kind !== 'mapping') return this.#refuse(key, tree, 'a mapping');
    return new Section(tree, { ...this.reading, subject, path: this.#pathOf(key) });
  }

  /** All entries, evaluated; nothing is left to report. */
  entries(): { key: string; at: Place; value: Tree }[] {
    return [...this.#mapping.entries].map(([key, { at, value }]) => {
      this.#taken.add(key);
      return { key, at, value: this.reading.resolve(value) };
    });
  }

  keys(): string[] {
    return [...this.#mapping.entries.keys()];
  }

  /** The key is understood and needs no word. */
  ignore(...keys: string[]): void {
    for (const key of keys) this.#taken.add(key);
  }

  /** Reports the keys, where they are there, as not carried over. */
  leave(remedies: Record<string, string>): void {
    for (const [key, remedy] of Object.entries(remedies)) {
      if (!this.has(key) || this.#taken.has(key)) continue;
      this.#taken.add(key);
      this.reading.report.left(this.placeOf(key), this.reading.subject, this.#pathOf(key), remedy);
    }
  }

  changed(key: string, how: string): void {
    this.reading.report.changed(this.placeOf(key), this.reading.subject, this.#pathOf(key), how);
  }

  carried(key: string, what: string): void {
    this.reading.report.carried(this.placeOf(key), this.reading.subject, what);
  }

  left(key: string, remedy: string): void {
    this.reading.report.left(this.placeOf(key), this.reading.subject, this.#pathOf(key), remedy);
  }

  /** Reports what nobody asked for. */
  finish(remedy = 'Virga has no counterpart for this key; take care of it where it matters'): void {
    for (const key of this.keys()) if (!this.#taken.has(key)) this.left(key, remedy);
  }

  #pathOf(key: string): string {
    return this.reading.path === '' ? key : `${this.reading.path}.${key}`;
  }

  #refuse(key: string, tree: Tree, expected: string): undefined {
    const place = this.placeOf(key);
    const remedy = tree.kind === 'unresolved' ? `${tree.reason}; set it by hand` : `expected ${expected}; set it by hand`;
    this.reading.report.left(place, this.reading.subject, this.#pathOf(key), remedy);
    return undefined;
  }
}
