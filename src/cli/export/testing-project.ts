// A project in a temporary folder, for the tests of the export: written, exported and removed again. Used by tests alone.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { reportText } from '../import/report-text.ts';
import { readManifest } from '../manifest/manifest.ts';
import { Terminal } from '../terminal.ts';
import { exportToLambda } from './export-lambda.ts';
import type { Exported, ExportOptions } from './export-lambda.ts';

export class TestingProject implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'virga-export-test-'));

  constructor(files: Readonly<Record<string, string | Buffer>>) {
    for (const [name, content] of Object.entries(files)) this.write(name, content);
  }

  write(name: string, content: string | Buffer): void {
    const file = join(this.folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    if (name.endsWith('bootstrap')) chmodSync(file, 0o755);
  }

  export(output = 'out', options: Partial<ExportOptions> = {}): Promise<Exported> {
    return exportToLambda(readManifest(this.folder), {
      output: resolve(this.folder, output),
      force: false,
      cacheFolder: join(this.folder, '.cache'),
      cpu: 'x64',
      note: () => {},
      ...options,
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** As people see it. */
export function shownReport({ items }: Exported): string {
  return `${reportText(items, new Terminal({ out: new PassThrough(), err: new PassThrough() }))}\n`;
}
