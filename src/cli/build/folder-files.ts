// The files of a folder as entries of an artifact, in a stable order. Invariant: only regular files, and symbolic links
// that stay inside the folder; a link that leaves it is an error where the folder is the author's, and left out of packages.
// Bounded by the number of files. Used by packages.ts (npm packages), python.ts and include.ts.
import { lstat, readdir, readlink } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { ArtifactEntry } from './archive.ts';

export interface FolderOptions {
  /** Where the folder's content goes inside the artifact; '' is its root. */
  under: string;
  filesMax: number;
  /** Called with the path relative to the folder; true leaves out the file, or the folder with all that is in it. */
  skip(path: string, isFolder: boolean): boolean;
  linksOutside: 'refuse' | 'skip';
}

export async function filesOfFolder(folder: string, options: FolderOptions): Promise<ArtifactEntry[]> {
  const entries: ArtifactEntry[] = [];
  const visit = async (at: string): Promise<void> => {
    const children = await readdir(join(folder, at), { withFileTypes: true });
    children.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      const path = at === '' ? child.name : `${at}/${child.name}`;
      if (options.skip(path, child.isDirectory())) continue;
      if (child.isDirectory()) await visit(path);
      else {
        const entry = await entryOf(folder, path, options);
        if (entry !== undefined) entries.push(entry);
      }
      if (entries.length > options.filesMax) {
        throw new VirgaError(
          'artifact_too_large',
          `the folder ${folder} has more than ${options.filesMax} files; move what the function does not need elsewhere`,
        );
      }
    }
  };
  await visit('');
  return entries;
}

async function entryOf(folder: string, path: string, options: FolderOptions): Promise<ArtifactEntry | undefined> {
  const file = join(folder, path);
  const stat = await lstat(file);
  const name = options.under === '' ? path : `${options.under}/${path}`;
  if (stat.isFile()) return { path: name, file, bytes: stat.size, executable: (stat.mode & 0o100) !== 0 };
  if (!stat.isSymbolicLink()) return undefined; // a socket, a pipe or a device has no place in code
  const target = await readlink(file);
  const inside = posix.normalize(posix.join(dirname(path), target));
  if (!target.startsWith('/') && inside !== '..' && !inside.startsWith('../')) return { path: name, link: target };
  if (options.linksOutside === 'skip') return undefined;
  throw new VirgaError('build_failed', `${file} is a link to ${target}, outside of its folder; copy the file instead`);
}
