// Files of a project that hold schemas (JSON Schema, OpenAPI), as values. Invariant: nothing outside of the folder of the manifest is
// read, sizes are bounded, and what is wrong is a text to follow the reference. Used by schema-references.ts and openapi-routes.ts.
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parseDocument } from 'yaml';

const BYTES_MAX = 4 * 1_024 * 1_024;
const FILES_MAX = 200;

export class ProjectDocuments {
  readonly #folder: string;
  readonly #known = new Map<string, { value: unknown } | string>();

  /** `folder` is absolute. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The value of a YAML or JSON file, or what is wrong. `path` is relative to the folder. */
  read(path: string): { value: unknown } | string {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const read = this.#known.size >= FILES_MAX ? `more than ${FILES_MAX} files are referred to` : this.#load(path);
    this.#known.set(path, read);
    return read;
  }

  #load(path: string): { value: unknown } | string {
    if (path.startsWith('/') || path.split('/').includes('..')) return 'expected a file inside the folder of the manifest';
    const file = join(this.#folder, path);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) return 'there is no such file';
    if (!stat.isFile()) return 'this is not a file';
    if (!realpathSync(file).startsWith(realpathSync(this.#folder) + sep)) return 'expected a file inside the folder of the manifest';
    if (stat.size > BYTES_MAX) return `it has ${stat.size} bytes; at most ${BYTES_MAX} are read`;
    const document = parseDocument(readFileSync(file, 'utf8'), { prettyErrors: true, logLevel: 'silent', uniqueKeys: true });
    const [error] = document.errors;
    if (error !== undefined) return `it is neither YAML nor JSON: ${error.message.split('\n')[0]!.slice(0, 200)}`;
    try {
      return { value: document.toJS({ maxAliasCount: 100 }) };
    } catch (cause) {
      return `its aliases cannot be resolved: ${(cause as Error).message}`;
    }
  }
}
