// For tests of builds: a project in a folder of its own, and its artifacts unpacked for the real Node to load.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseManifest } from '../manifest/manifest.ts';
import { buildFunctions } from './build.ts';
import type { Built } from './build.ts';

export class TestingProject implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'virga-project-'));
  /** For archives and what is unpacked from them: not among the sources. */
  readonly #outside = mkdtempSync(join(tmpdir(), 'virga-built-'));

  constructor(files: Record<string, string>) {
    this.write({ 'package.json': '{}', ...files });
  }

  write(files: Record<string, string>): void {
    for (const [name, content] of Object.entries(files)) {
      const file = join(this.folder, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }

  /** Builds one function; `settings` are further lines of YAML flow, e.g. `include: [a.txt]`. */
  async build(source: string, settings = ''): Promise<Built> {
    const functions = `{ f: { source: ${source}${settings === '' ? '' : `, ${settings}`} } }`;
    const manifest = parseManifest(`project: p\nfunctions: ${functions}\n`, join(this.folder, 'virga.yaml'));
    const [built] = await buildFunctions(manifest, { workFolder: this.#outside, cacheFolder: join(this.#outside, 'cache') });
    return built!;
  }

  unpack(built: Built): string {
    const folder = mkdtempSync(join(this.#outside, 'unpacked-'));
    execFileSync('tar', ['xzf', built.file, '-C', folder]);
    return folder;
  }

  /** What `program` logs, as JSON; in it `code` is the loaded module of the artifact. */
  run(built: Built, program: string): unknown {
    const file = join(this.unpack(built), built.handler.split('#')[0]!);
    const script = `const code = await import(${JSON.stringify(file)}); const log = (value) => console.log(JSON.stringify(value)); ${program}`;
    const stdout = execFileSync(process.execPath, ['--enable-source-maps', '--input-type=module', '--eval', script], {
      encoding: 'utf8',
      cwd: '/',
    });
    return JSON.parse(stdout);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(this.#outside, { recursive: true, force: true });
  }
}
