// The report of an export, with the lines of virga.yaml. Invariant: what is said of a setting points to where it is written: at the
// function, else under `defaults`, else at the function's name. Used by all of export/.
import { readFileSync } from 'node:fs';
import { ManifestDocument } from '../manifest/document.ts';
import type { Path } from '../manifest/document.ts';
import { MANIFEST_NAME } from '../manifest/project-near.ts';
import type { Manifest } from '../manifest/manifest.ts';
import { Report } from '../import/report.ts';
import type { Item } from '../import/report.ts';
import type { Place } from '../import/tree.ts';

export class ExportReport {
  readonly #report = new Report();
  readonly #document: ManifestDocument;
  readonly #root: unknown;

  constructor(manifest: Manifest) {
    this.#document = new ManifestDocument(readFileSync(manifest.file, 'utf8'));
    this.#root = this.#document.value();
  }

  of(name: string): FunctionReport {
    return new FunctionReport(name, this.#report, (key) => this.#placeOf(name, key));
  }

  items(): Item[] {
    return this.#report.items();
  }

  #placeOf(name: string, key: readonly string[]): Place {
    const paths: Path[] = [
      ['functions', name, ...key],
      ['defaults', ...key],
    ];
    const path = paths.find((one) => has(this.#root, one)) ?? ['functions', name];
    return { file: MANIFEST_NAME, line: this.#document.placeOfKey(path).line };
  }
}

/** Of one function. `key` is the setting in virga.yaml, as in `instances.min`; empty: the function. */
export class FunctionReport {
  readonly name: string;
  readonly #report: Report;
  readonly #place: (key: readonly string[]) => Place;

  constructor(name: string, report: Report, place: (key: readonly string[]) => Place) {
    this.name = name;
    this.#report = report;
    this.#place = place;
  }

  carried(key: string, what: string): void {
    this.#report.carried(this.#at(key), this.name, what);
  }

  changed(key: string, what: string, how: string): void {
    this.#report.changed(this.#at(key), this.name, what, how);
  }

  left(key: string, what: string, remedy: string): void {
    this.#report.left(this.#at(key), this.name, what, remedy);
  }

  #at(key: string): Place {
    return this.#place(key === '' ? [] : key.split('.'));
  }
}

function has(root: unknown, path: Path): boolean {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return false;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return true;
}
