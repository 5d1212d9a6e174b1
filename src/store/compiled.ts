// Compiled code of artifacts, made by the platform ahead of the first call: `<folder>/<artifact>/<runtime>-<build>/`,
// where the build names the exact runtime that made it and that alone may use it.
// Invariant: a folder under its final name is complete, was made by the platform's own program, and never changes; its
// files are validated and bounded, readable by any uid, written by none. Having none is never an error: code is then
// compiled when it is loaded. What was given up (nothing worth keeping, or an instance crashed with it) leaves
// `<runtime>-<build>.none`, with the reason, and is not made again.
// Callers: server/launcher.ts makes and shows it; ArtifactFolders.remove removes it with its artifact.
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SHA256_PATTERN, type RuntimeName } from '../protocol/settings.ts';

export interface CompiledFile {
  /** Relative path. */
  name: string;
  content: Uint8Array;
}

export interface CompiledFoldersOptions {
  folder: string;
  /** Names the exact build of a runtime; null when there is no such runtime here. */
  build(runtime: RuntimeName): string | null;
  /**
   * Compiles one artifact into at most `bytesMax` bytes. A problem is the artifact's own and would come again; what is
   * thrown has other causes, and another try may do better.
   */
  compile(artifact: string, runtime: RuntimeName, bytesMax: number): Promise<CompiledFile[] | { problem: string }>;
  bytesMax: number;
  log(text: string): void;
}

/** Artifacts that wait to be compiled; more are left for their next deploy or start. */
const WAITING_MAX = 10_000;
const FILES_MAX = 20_000;
/** Below this, looking for it costs as much as it saves. */
const BYTES_MIN = 4 * 1024;
/** Node's are hex digits, Python's are paths below the artifact. */
const NODE_NAME = /^[0-9a-f]{8,16}$/;
const PYTHON_NAME = /^(?:[^/\0]{1,255}\/){0,64}[^/\0]{1,251}\.pyc$/;

export class CompiledFolders {
  readonly #options: CompiledFoldersOptions;
  readonly #making = new Map<string, Promise<string | null>>();
  /** One at a time: it is work that nobody waits for. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CompiledFoldersOptions) {
    this.#options = options;
  }

  /** The folder that an instance may use now. Asks the file system once: this is on the way of a cold start. */
  find(artifact: string, runtime: RuntimeName): string | null {
    const target = this.#target(artifact, runtime);
    return target !== null && existsSync(target) ? target : null;
  }

  /** The same, made first if need be. Never fails. */
  async ensure(artifact: string, runtime: RuntimeName): Promise<string | null> {
    const target = this.#target(artifact, runtime);
    if (target === null || existsSync(`${target}.none`)) return null;
    if (existsSync(target)) return target;
    let making = this.#making.get(target);
    if (making === undefined) {
      if (this.#making.size >= WAITING_MAX) return null;
      making = this.#last
        .then(() => this.#make(artifact, runtime, target))
        .catch((error: unknown) => {
          this.#options.log(`artifact ${artifact} was not compiled ahead for ${runtime}: ${String(error)}`);
          return null;
        })
        .finally(() => this.#making.delete(target));
      this.#making.set(target, making);
      this.#last = making;
    }
    return making;
  }

  /** Resolves when nothing is being made. */
  async settled(): Promise<void> {
    while (this.#making.size > 0) await Promise.all(this.#making.values());
  }

  /** For good: an instance crashed while it loaded this. */
  async discard(artifact: string, runtime: RuntimeName): Promise<void> {
    const target = this.#target(artifact, runtime);
    if (target === null || !existsSync(target)) return;
    // At once: the start that follows must not find it.
    const aside = join(this.#options.folder, `.discarded-${process.pid}-${artifact}-${runtime}`);
    writeFileSync(`${target}.none`, 'an instance crashed while it loaded this\n');
    renameSync(target, aside);
    await rm(aside, { recursive: true, force: true });
    this.#options.log(`the compiled code of artifact ${artifact} for ${runtime} was removed: an instance crashed while it loaded it`);
  }

  /** Removes what no artifact or no runtime of this machine has a use for. `artifactsFolder` holds the unpacked artifacts. */
  async sweep(artifactsFolder: string, runtimes: RuntimeName[]): Promise<number> {
    const { folder } = this.#options;
    const builds = new Set(runtimes.map((runtime) => `${runtime}-${this.#options.build(runtime)}`));
    let removed = 0;
    for (const artifact of await readdir(folder).catch(() => [])) {
      if (!SHA256_PATTERN.test(artifact)) continue;
      const names = await readdir(join(folder, artifact));
      const gone = existsSync(join(artifactsFolder, artifact)) ? names.filter((name) => !builds.has(name.replace('.none', ''))) : null;
      const paths = gone === null ? [artifact] : gone.map((name) => join(artifact, name));
      for (const path of paths) await rm(join(folder, path), { recursive: true, force: true });
      removed += paths.length;
    }
    return removed;
  }

  #target(artifact: string, runtime: RuntimeName): string | null {
    const build = this.#options.build(runtime);
    return build !== null && SHA256_PATTERN.test(artifact) ? join(this.#options.folder, artifact, `${runtime}-${build}`) : null;
  }

  async #make(artifact: string, runtime: RuntimeName, target: string): Promise<string | null> {
    const { folder, bytesMax } = this.#options;
    const files = await this.#options.compile(artifact, runtime, bytesMax);
    const problem = 'problem' in files ? files.problem : problemOf(files, { bytesMax, runtime });
    if ('problem' in files || problem !== undefined) {
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await writeFile(`${target}.none`, `${problem}\n`);
      return null;
    }
    const aside = await mkdtemp(join(folder, `.compiling-${process.pid}-`));
    try {
      await writeAll(aside, files);
      await mkdir(dirname(target), { recursive: true, mode: 0o755 });
      await rename(aside, target);
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      throw error;
    }
    return target;
  }
}

function problemOf(files: CompiledFile[], { bytesMax, runtime }: { bytesMax: number; runtime: RuntimeName }): string | undefined {
  const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
  const pattern = runtime === 'python3' ? PYTHON_NAME : NODE_NAME;
  const misnamed = files.find(({ name }) => !pattern.test(name) || name.split('/').some((part) => part === '.' || part === '..'));
  if (misnamed !== undefined) return `a file has the name ${JSON.stringify(misnamed.name.slice(0, 100))}`;
  if (new Set(files.map(({ name }) => name)).size < files.length) return 'two files have one name';
  if (files.length > FILES_MAX || bytes > bytesMax) return `${files.length} files of ${bytes} bytes together are too many`;
  if (bytes < BYTES_MIN) return `${bytes} bytes of compiled code are not worth a look`;
  return undefined;
}

async function writeAll(folder: string, files: CompiledFile[]): Promise<void> {
  const made = new Set(['.']);
  for (const { name, content } of files) {
    const below = dirname(name);
    if (!made.has(below)) await mkdir(join(folder, below), { recursive: true });
    made.add(below);
    await writeFile(join(folder, name), content, { mode: 0o444, flag: 'wx' });
  }
  // Whatever the umask of Virga.
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o444);
  }
}
