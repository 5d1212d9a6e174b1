// Watches the folders of a project and tells of changes in batches: editors write one save as several events, and git
// changes many files at once. Invariant: no batch while the one before is still being handled; nothing is lost meanwhile.
// What a change cannot matter for (installed packages, caches, the data folder) is not told. Used by the command dev.
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';

const IGNORED_NAMES = new Set([
  'node_modules',
  '.git',
  '.virga',
  '__pycache__',
  '.venv',
  'venv',
  '.packages',
  '.mypy_cache',
  '.pytest_cache',
  '.ruff_cache',
  '.DS_Store',
]);
/** What editors write beside the file: vim's and emacs' backups, swap and lock files. */
const IGNORED_FILES = /~$|\.sw[a-z]$|^\.#|^#.*#$|^4913$|\.tmp\.\w+$/;
const EXTRA_FOLDERS_MAX = 200;

export interface WatchOptions {
  folder: string;
  /** Never told of, e.g. the data folder. */
  except: string;
  /** Quiet time that ends a batch, ms. */
  quietMs: number;
  onChange(files: ReadonlySet<string>): Promise<void>;
  onError(error: Error): void;
}

export class FolderWatch {
  readonly #options: WatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #handling = false;
  #closed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#watch(options.folder, true);
  }

  /** Also these files outside of the folder (a linked workspace, for one). */
  alsoWatch(files: Iterable<string>): void {
    for (const file of files) {
      const folder = dirname(file);
      if (
        file.startsWith(`${this.#options.folder}${sep}`) ||
        this.#ignored(file) ||
        this.#watchers.has(folder) ||
        this.#watchers.size > EXTRA_FOLDERS_MAX
      )
        continue;
      this.#watch(folder, false);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
  }

  #watch(folder: string, recursive: boolean): void {
    // `ignore` also keeps Node from watching each of the thousands of folders of node_modules.
    const watcher = watch(folder, { recursive, ignore: (name) => this.#ignored(join(folder, name)) }, (_event, name) => {
      if (name === null) return;
      const file = join(folder, name);
      if (this.#ignored(file)) return;
      this.#changed.add(file);
      this.#schedule();
    });
    watcher.on('error', (error) => this.#options.onError(error));
    this.#watchers.set(folder, watcher);
  }

  #ignored(file: string): boolean {
    const { folder, except } = this.#options;
    if (file === except || file.startsWith(`${except}${sep}`)) return true;
    const inside = file.startsWith(`${folder}${sep}`) ? file.slice(folder.length + 1) : file;
    return inside.split(sep).some((part) => IGNORED_NAMES.has(part)) || IGNORED_FILES.test(basename(file));
  }

  #schedule(): void {
    if (this.#handling || this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#handle(), this.#options.quietMs);
  }

  async #handle(): Promise<void> {
    const files = this.#changed;
    this.#changed = new Set();
    this.#handling = true;
    try {
      await this.#options.onChange(files);
    } finally {
      this.#handling = false;
      if (this.#changed.size > 0) this.#schedule();
    }
  }
}
