// The files of a served folder, from the index that its artifact carries: a request is answered from this map, so that a path which
// is not in it reaches no file, whatever it says. Invariant: what is written in the index is believed of what a file is like, never
// of where it is: names that could lead elsewhere, or begin with a dot, are left out. Made by static-files.ts.
import type { PackedFile, PackedIndex } from '../../protocol/packed-folder.ts';
import { contentTypeOf } from './content-types.ts';

export type Coding = 'br' | 'gzip';

export interface StaticFile {
  /** Relative to the folder, e.g. `assets/app.js`. */
  path: string;
  bytes: number;
  type: string;
  /** Strong, without quotes: of the file as it is. */
  hash: string;
  br: number | undefined;
  gzip: number | undefined;
}

export interface FileIndex {
  files: ReadonlyMap<string, StaticFile>;
  /** When it came to this node, as an HTTP date. */
  lastModified: string;
}

export function readIndex(text: string, modifiedMs: number): FileIndex {
  const { files } = JSON.parse(text) as PackedIndex;
  const known = new Map<string, StaticFile>();
  for (const file of files) if (isSound(file)) known.set(file.path, compiled(file));
  return { files: known, lastModified: new Date(modifiedMs).toUTCString() };
}

function compiled({ path, bytes, sha256, br, gzip }: PackedFile): StaticFile {
  return { path, bytes, type: contentTypeOf(path), hash: sha256.slice(0, 32), br, gzip };
}

function isSound({ path, bytes, sha256, br, gzip }: PackedFile): boolean {
  const counts = [bytes, ...(br === undefined ? [] : [br]), ...(gzip === undefined ? [] : [gzip])];
  return (
    typeof path === 'string' &&
    !/[\0\\]/.test(path) &&
    path.split('/').every((part, index) => part !== '' && (!part.startsWith('.') || (index === 0 && part === '.well-known'))) &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0)
  );
}
