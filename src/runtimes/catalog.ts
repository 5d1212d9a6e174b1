// How each runtime is booted on this machine: its binary, its command line, the files that must be visible inside, and
// the guest program; and the same of the program that compiles artifacts ahead. Node's programs are bundled into one
// CommonJS file each and Python's are compiled, once for each state of their sources, under `<folder>/<hash of the sources>/`.
// Invariant: a folder named by a hash is complete (made aside, then renamed). Runs on the host; knows no sandbox driver.
// Caller: server/launcher.ts.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { FUNCTION_RUNTIMES, bootedRuntime } from '../protocol/settings.ts';
import type { RuntimeName } from '../protocol/settings.ts';
import type { RuntimeStats } from '../protocol/stats.ts';
import { PROGRAM_RUNTIMES, findProgram, remedyOf } from './catalog-programs.ts';
import type { FoundProgram, ProgramRuntime } from './catalog-programs.ts';

/** Where a runtime's files are inside a sandbox. The artifact is the working folder. */
const GUEST = '/virga';
const BINARIES = '/runtime';
export const CODE = '/code';
/** Where an artifact's compiled code is inside a sandbox. */
export const COMPILED = '/compiled';

export interface RuntimeBoot {
  argv: string[];
  env: Record<string, string>;
  mounts: { source: string; target: string }[];
}

interface Guest {
  /** Folder on the host that appears as /virga. */
  folder: string;
}

export class RuntimeCatalog {
  readonly #binaries: Map<RuntimeName, string>;
  readonly #guests: { node: Guest; python: Guest | null };
  readonly #builds: Map<RuntimeName, string>;
  /** Looked for once, at the start. */
  readonly #programs = new Map<ProgramRuntime, FoundProgram>();

  /** Builds the guests that are not there yet, and removes those of older sources. Safe to call with sandboxes running of the same sources. */
  static async open(folder: string): Promise<RuntimeCatalog> {
    const binaries = new Map<RuntimeName, string>();
    const add = (name: RuntimeName, path: string | null): unknown => path !== null && binaries.set(name, path);
    add('nodejs26', npmNode('node'));
    add('nodejs24', npmNode('node24'));
    add('python3', ['/usr/bin/python3', '/usr/local/bin/python3', '/opt/homebrew/bin/python3'].find(existsSync) ?? null);
    await mkdir(folder, { recursive: true });
    const python = binaries.get('python3');
    const guests = {
      node: await guestFolder(folder, await nodeSources(), bundleNodeGuest),
      python: python === undefined ? null : await guestFolder(folder, await pythonSources(python), (to) => compilePythonGuest(python, to)),
    };
    const kept = Object.values(guests).map((guest) => guest?.folder);
    for (const name of await readdir(folder)) {
      if (/^[0-9a-f]{16}$/.test(name) && !kept.includes(join(folder, name))) await rm(join(folder, name), { recursive: true, force: true });
    }
    return new RuntimeCatalog(binaries, guests, await buildsOf(binaries));
  }

  private constructor(binaries: Map<RuntimeName, string>, guests: { node: Guest; python: Guest | null }, builds: Map<RuntimeName, string>) {
    this.#binaries = binaries;
    this.#guests = guests;
    this.#builds = builds;
    for (const name of PROGRAM_RUNTIMES) {
      const found = findProgram(name);
      if (found !== null) this.#programs.set(name, found);
    }
  }

  /** What functions can ask for, and what lacks here. */
  get runtimes(): RuntimeStats[] {
    return FUNCTION_RUNTIMES.map((name) => {
      const program = (PROGRAM_RUNTIMES as readonly string[]).includes(name) ? (name as ProgramRuntime) : undefined;
      const booted = this.#binaries.has(bootedRuntime(name));
      const version = program === undefined ? null : (this.#programs.get(program)?.version ?? null);
      if (!booted) return { name, version, remedy: 'run scripts/prepare.ts on the node: it installs what is missing' };
      return { name, version, remedy: program !== undefined && version === null ? remedyOf(program) : null };
    });
  }

  /**
   * What compiled code of an artifact is good for: the exact build of the runtime on this processor, and the compiling
   * program. 16 hex digits; null when this machine does not have the runtime.
   */
  build(name: RuntimeName): string | null {
    return this.#builds.get(name) ?? null;
  }

  /** Folders of the host from which sandboxes are given something. */
  get folders(): string[] {
    const nodes = ([...this.#binaries] as [RuntimeName, string][]).filter(([name]) => name !== 'python3');
    const guests = Object.values(this.#guests).filter((guest) => guest !== null);
    const programs = [...this.#programs.values()].map(({ folder }) => folder);
    return [...new Set([...nodes.map(([, path]) => dirname(path)), ...guests.map((guest) => guest.folder), ...programs])];
  }

  /** Null when this machine does not have the runtime. */
  boot(name: RuntimeName, options: { memoryMiB: number }): RuntimeBoot | null {
    return this.#program(name, 'guest', { ...options, args: [name] });
  }

  /** The program that compiles the artifact in its working folder and sends at most `bytesMax` of the result; see runtimes/node/compile.ts. */
  compiler(name: RuntimeName, { memoryMiB, bytesMax }: { memoryMiB: number; bytesMax: number }): RuntimeBoot | null {
    return this.#program(name, 'compile', { memoryMiB, args: [String(bytesMax)] });
  }

  #program(
    name: RuntimeName,
    program: 'guest' | 'compile',
    { memoryMiB, args }: { memoryMiB: number; args: string[] },
  ): RuntimeBoot | null {
    const binary = this.#binaries.get(name);
    if (binary === undefined) return null;
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp', TMPDIR: '/tmp', LANG: 'C.UTF-8' };
    if (name === 'python3') {
      if (this.#guests.python === null) return null;
      return {
        // -I and -S: neither the environment nor the machine's own packages reach the function. See guest.py.
        argv: [binary, '-I', '-S', '-B', '-X', 'utf8', `${GUEST}/${program}.py`, ...args],
        env: { ...env, MALLOC_ARENA_MAX: '2' },
        mounts: [{ source: this.#guests.python.folder, target: GUEST }],
      };
    }
    // They stand beside one guest alone.
    const programs = program === 'guest' && name === bootedRuntime('bun') ? [...this.#programs.values()] : [];
    const path = [BINARIES, ...programs.map(({ target }) => target), env.PATH].join(':');
    return {
      argv: [`${BINARIES}/node`, ...nodeFlags(memoryMiB), `${GUEST}/${program}.cjs`, ...args],
      env: { ...env, PATH: path, UV_THREADPOOL_SIZE: '4', MALLOC_ARENA_MAX: '2' },
      mounts: [
        { source: this.#guests.node.folder, target: GUEST },
        { source: dirname(binary), target: BINARIES },
        ...programs.map(({ folder, target }) => ({ source: folder, target })),
      ],
    };
  }
}

/**
 * V8 sizes its heap by the machine, not by the sandbox: told the limit, it collects harder near it instead of being
 * killed. Three quarters leave room for code, stacks and buffers, which are not in the heap; at least 16 MiB for those.
 * Young generation: V8's default of 3 × 16 MiB would be most of a small sandbox.
 */
function nodeFlags(memoryMiB: number): string[] {
  const heapMiB = Math.max(16, Math.floor(Math.min(memoryMiB * 0.75, memoryMiB - 16)));
  const semiSpaceMiB = Math.min(16, Math.max(1, Math.floor(memoryMiB / 32)));
  return [
    `--max-old-space-size=${heapMiB}`,
    `--max-semi-space-size=${semiSpaceMiB}`,
    '--v8-pool-size=1',
    '--disable-warning=ExperimentalWarning',
  ];
}

/** The binary of npm's `node-<platform>-<processor>` package, under the alias that package.json gives it. */
function npmNode(alias: string): string | null {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${alias}-${process.platform}-${process.arch}/package.json`);
    const binary = join(dirname(manifest), 'bin', 'node');
    return existsSync(binary) ? binary : null;
  } catch {
    return null;
  }
}

/** For V8's cached data: its version, its flags and the processor's features. */
const NODE_TAG = 'process.version + process.arch + process.versions.v8 + v8.cachedDataVersionTag()';
const PYTHON_TAG = 'import sys, importlib.util as u; print(sys.version, sys.implementation.cache_tag, u.MAGIC_NUMBER.hex())';

async function buildsOf(binaries: Map<RuntimeName, string>): Promise<Map<RuntimeName, string>> {
  const build = async ([name, binary]: [RuntimeName, string]): Promise<[RuntimeName, string]> => {
    const python = name === 'python3';
    // Heap sizes have no part in V8's tag; the memory here is any.
    const args = python ? ['-I', '-S', '-c', PYTHON_TAG] : [...nodeFlags(256), '-p', NODE_TAG];
    const { stdout } = await promisify(execFile)(binary, args, { env: {} });
    const program = await readFile(join(import.meta.dirname, python ? 'python/compile.py' : 'node/compile.ts'));
    return [name, createHash('sha256').update(`${name}\0${stdout}\0`).update(program).digest('hex').slice(0, 16)];
  };
  return new Map(await Promise.all(([...binaries] as [RuntimeName, string][]).map(build)));
}

interface Sources {
  /** What the result depends on beside the files, e.g. the version of the tool. */
  tool: string;
  files: string[];
}

async function nodeSources(): Promise<Sources> {
  const { version } = createRequire(import.meta.url)('rolldown/package.json') as { version: string };
  const own = await filesBelow(join(import.meta.dirname, 'node'), (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  return {
    tool: `rolldown ${version} cjs 2`,
    files: [
      ...own,
      ...['frames.ts', 'stream-table.ts', 'events.ts', 'wasm.ts'].map((name) => join(import.meta.dirname, '../protocol', name)),
    ],
  };
}

async function pythonSources(python: string): Promise<Sources> {
  const { stdout } = await promisify(execFile)(python, ['--version']);
  return { tool: `${stdout.trim()} 1`, files: await filesBelow(join(import.meta.dirname, 'python'), isPythonSource) };
}

function isPythonSource(name: string): boolean {
  return name.endsWith('.py') && !/(^|\/)(test_[^/]*|[^/]*_test)\.py$/.test(name);
}

async function guestFolder(folder: string, sources: Sources, build: (to: string) => Promise<void>): Promise<Guest> {
  const hash = createHash('sha256').update(sources.tool);
  for (const file of sources.files) hash.update(`\0${relative(import.meta.dirname, file)}\0`).update(await readFile(file));
  const target = join(folder, hash.digest('hex').slice(0, 16));
  if (existsSync(target)) return { folder: target };
  const aside = await mkdtemp(join(folder, `.building-${process.pid}-`));
  try {
    await build(aside);
    await makeReadable(aside);
    await rename(aside, target);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
  return { folder: target };
}

async function bundleNodeGuest(to: string): Promise<void> {
  // Loaded only when there is something to build: it costs 60 ms.
  const { rolldown } = await import('rolldown');
  for (const program of ['guest', 'compile', 'program-maps']) {
    const bundle = await rolldown({ input: join(import.meta.dirname, `node/${program}.ts`), platform: 'node', logLevel: 'warn' });
    // The forms of the guest are chunks of their own.
    await bundle.write({ dir: to, format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: `${program}-[name].cjs`, minify: false });
    await bundle.close();
  }
}

async function compilePythonGuest(python: string, to: string): Promise<void> {
  const from = join(import.meta.dirname, 'python');
  for (const file of await filesBelow(from, isPythonSource)) {
    const target = join(to, relative(from, file));
    await mkdir(dirname(target), { recursive: true });
    await cp(file, target);
  }
  // Takes 15 ms off each boot. Unchecked: the folder never changes, so Python need not look at the sources' times.
  await promisify(execFile)(python, ['-I', '-m', 'compileall', '-q', '--invalidation-mode', 'unchecked-hash', to]);
}

/** For the uid of any sandbox, whatever the umask of Virga. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

async function filesBelow(folder: string, wanted: (name: string) => boolean): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && wanted(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
