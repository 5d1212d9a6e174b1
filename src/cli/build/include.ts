// The files that `include` of a function names, as entries of its artifact. Invariant: each glob matches something, and
// nothing outside the folder of the manifest gets in. Used by node.ts and python.ts.
import { glob as filesMatching, lstat, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';

const NEVER = new Set(['node_modules', '.git', '.virga', '__pycache__']);

/** Paths stay as they are relative to `folder`; `place` may move them. */
export async function includedFiles(
  folder: string,
  globs: readonly string[],
  place: (path: string) => string = (path) => path,
): Promise<ArtifactEntry[]> {
  const entries = new Map<string, ArtifactEntry>();
  const root = await realpath(folder);
  for (const pattern of globs) {
    let matched = false;
    // A folder means all that is in it.
    for (const one of [pattern, `${pattern.replace(/\/$/, '')}/**`]) {
      for await (const found of filesMatching(one, { cwd: folder, exclude: (name) => NEVER.has(name.split(sep).at(-1) ?? '') })) {
        const file = join(folder, found);
        const stat = await lstat(file).catch(() => undefined);
        if (stat === undefined || stat.isDirectory()) continue;
        const real = await realpath(file);
        if (relative(root, real).startsWith('..'))
          throw new VirgaError('build_failed', `include: ${found} is a link to ${real}, outside of the folder of the manifest`);
        matched = true;
        const path = place(found.split(sep).join('/'));
        const bytes = stat.isSymbolicLink() ? (await lstat(real)).size : stat.size;
        entries.set(path, { path, file: real, bytes, executable: (stat.mode & 0o111) !== 0 && !stat.isSymbolicLink() });
        if (entries.size > ARCHIVE_LIMITS.filesMax) {
          throw new VirgaError('artifact_too_large', `include: '${pattern}' matches more than ${ARCHIVE_LIMITS.filesMax} files; narrow it`);
        }
      }
    }
    if (!matched) throw new VirgaError('build_failed', `include: '${pattern}' matches no file in ${folder}`);
  }
  return [...entries.values()];
}

/** The folders of a glob before its first magic character. */
export function staticPart(glob: string): string {
  const parts = glob.split('/');
  const magic = parts.findIndex((part) => /[*?[\]{}!()]/.test(part));
  return magic === -1 ? glob : parts.slice(0, magic).join('/');
}
