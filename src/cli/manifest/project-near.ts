// The manifest of a folder or the nearest one above it, and the project that it names, before any check of it: most commands want
// no more, and the schema takes as long to load as all the rest of them. Invariant: nothing but YAML's parser is loaded, and that
// only when there is a manifest. Callers: project.ts, manifest.ts.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { mapping } from './mapping.ts';

export const MANIFEST_NAME = 'virga.yaml';
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

/** undefined: there is no manifest, or it names no project. */
export async function projectNear(folder: string): Promise<string | undefined> {
  const file = manifestNear(folder);
  if (file === undefined) return undefined;
  const { ManifestDocument } = await import('./document.ts');
  const value = mapping(new ManifestDocument(readFileSync(file, 'utf8').slice(0, MANIFEST_BYTES_MAX)).value());
  return typeof value['project'] === 'string' ? value['project'] : undefined;
}

function manifestNear(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const file = join(at, MANIFEST_NAME);
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
    if (dirname(at) === at) return undefined;
  }
}
