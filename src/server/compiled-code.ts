// Compiled code of artifacts in the launcher: when it is made, by what, and who may use it.
// Invariant: one artifact is compiled at a time, in the background, and nothing waits for it: a start takes what is there.
// With a driver that has no walls there is none, since Node would be led to it by a link in the machine's own /tmp.
// Caller: launcher.ts; the parts are compile.ts (a sandbox that compiles) and store/compiled.ts (the folders).
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { RUNTIMES } from '../protocol/settings.ts';
import type { RuntimeName } from '../protocol/settings.ts';
import type { RuntimeCatalog } from '../runtimes/catalog.ts';
import type { SandboxDriver } from '../sandbox/driver.ts';
import type { ArtifactFolders } from '../store/artifacts.ts';
import { CompiledFolders } from '../store/compiled.ts';
import { COMPILE_MEMORY_MIB, compileInSandbox } from './compile.ts';
import type { PlatformLog } from './platform-log.ts';

/** A start that found nothing is let be done before its artifact is compiled for the next one. */
const AFTER_START_MS = 500;

export interface CompiledCodeParts {
  config: Pick<Config, 'runFolder' | 'limits'>;
  driver: SandboxDriver;
  catalog: RuntimeCatalog;
  artifacts: ArtifactFolders;
  folder: string;
  log: PlatformLog;
}

export class CompiledCode {
  readonly #folders: CompiledFolders;
  readonly #wanted: boolean;
  readonly #socketPath: string;
  readonly #closing = new AbortController();

  constructor({ config, driver, catalog, artifacts, folder, log }: CompiledCodeParts) {
    this.#wanted = driver.status.enforcement.isolation !== null && config.limits.compiledBytesMax > 0;
    this.#socketPath = join(config.runFolder, 'compile.sock');
    this.#folders = new CompiledFolders({
      folder,
      bytesMax: config.limits.compiledBytesMax,
      build: (runtime) => catalog.build(runtime),
      log: (text) => log('warn', text),
      compile: async (artifact, runtime, bytesMax) => {
        const boot = catalog.compiler(runtime, { memoryMiB: COMPILE_MEMORY_MIB, bytesMax });
        if (boot === null) throw new Error(`this node has no runtime '${runtime}'`);
        const code = await artifacts.ensure(artifact);
        return compileInSandbox({
          driver,
          boot,
          code,
          socketPath: this.#socketPath,
          bytesMax,
          signal: this.#closing.signal,
        });
      },
    });
  }

  prepare(artifact: string, runtime: RuntimeName): void {
    void this.ensure(artifact, runtime);
  }

  /** Resolves when it is there, or is not going to be. */
  async ensure(artifact: string, runtime: RuntimeName): Promise<string | null> {
    return this.#wanted && !this.#closing.signal.aborted ? this.#folders.ensure(artifact, runtime) : null;
  }

  /** What a sandbox may be shown now. */
  find(artifact: string, runtime: RuntimeName): string | null {
    if (!this.#wanted) return null;
    const found = this.#folders.find(artifact, runtime);
    // A launcher that died may have owed it.
    if (found === null) setTimeout(() => this.prepare(artifact, runtime), AFTER_START_MS).unref();
    return found;
  }

  discard(artifact: string, runtime: RuntimeName): void {
    void this.#folders.discard(artifact, runtime);
  }

  /** What an earlier launcher left, and what nothing has a use for any more. */
  async sweep(artifactsFolder: string): Promise<void> {
    await rm(this.#socketPath, { force: true });
    await this.#folders.sweep(artifactsFolder, [...RUNTIMES]);
  }

  /** What is being compiled is given up. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the launcher is stopping'));
    await this.#folders.settled();
  }
}
