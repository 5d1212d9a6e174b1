// The files that an import reads: the one that was named, and those that it refers to. Invariants: nothing outside of the repository
// (the nearest folder with .git above, else the folder of the file) is read, whatever a file of others says; sizes and
// number of files are bounded. Used by the readers.
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, extname, join, relative, resolve, sep } from 'node:path';
import { bytesText } from '../../lib/units.ts';
import { CommandError } from '../failure.ts';
import { jsonTree } from './json-tree.ts';
import { tomlTree } from './toml-tree.ts';
import type { Tree } from './tree.ts';
import { yamlTree } from './yaml-tree.ts';

const BYTES_MAX = 4 * 1024 * 1024;
const FILES_MAX = 200;

export type FileKind = 'file' | 'folder';

export class ImportFiles {
  /** Absolute: paths are relative to it. */
  readonly folder: string;
  readonly #root: string;
  readonly #trees = new Map<string, Tree>();
  #read = 0;

  constructor(folder: string) {
    this.folder = realpathSync(folder);
    this.#root = repositoryOf(this.folder);
  }

  /** undefined: there is none, or it lies outside. */
  kind(path: string): FileKind | undefined {
    const file = this.#inside(path);
    const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
    return stat?.isFile() ? 'file' : stat?.isDirectory() ? 'folder' : undefined;
  }

  isFile(path: string): boolean {
    return this.kind(path) === 'file';
  }

  /** Throws CommandError when it is not there, too large, or not readable. */
  text(path: string): string {
    const file = this.#inside(path);
    if (file === undefined) throw new CommandError(`${path} is not in ${this.#root}; an import reads nothing else`);
    const stat = statSync(file);
    if (!stat.isFile()) throw new CommandError(`${path} is no file`);
    if (stat.size > BYTES_MAX) throw new CommandError(`${path} has ${bytesText(stat.size)}; at most ${bytesText(BYTES_MAX)} are read`);
    if (++this.#read > FILES_MAX) throw new CommandError(`more than ${FILES_MAX} files are referred to; ${path} is one too many`);
    return readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  }

  /** By the extension: TOML, JSON with comments, else YAML. Each file is read once. */
  tree(path: string): Tree {
    const known = this.#trees.get(path);
    if (known !== undefined) return known;
    const text = this.text(path);
    const extension = extname(path).toLowerCase();
    const parse = extension === '.toml' ? tomlTree : extension === '.jsonc' || extension === '.json' ? jsonTree : yamlTree;
    // A CloudFormation template in JSON has calls in it, which are YAML's to find.
    const tree = parse === jsonTree && /"(?:Ref|Fn::\w+)"/.test(text) ? yamlTree(text, path) : parse(text, path);
    this.#trees.set(path, tree);
    return tree;
  }

  /** Relative to the folder, with forward slashes; undefined when it is outside of the repository, or not there. */
  normal(path: string): string | undefined {
    const file = this.#inside(path);
    return file === undefined ? undefined : relative(this.folder, file).split(sep).join('/') || '.';
  }

  #inside(path: string): string | undefined {
    const file = resolve(this.folder, path);
    if (!existsSync(file)) return undefined;
    const real = realpathSync(file);
    return real === this.#root || real.startsWith(this.#root + sep) ? file : undefined;
  }
}

function repositoryOf(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at;
    if (dirname(at) === at) return folder;
  }
}
