// Paths of a program, made into paths of the sandbox. Invariant: none leads out of the folder that the program was given,
// neither by `..` nor by a symbolic link. What lies outside belongs to the function's own sandbox as well: this keeps WASI's
// promise to the program, it is not the wall. Used by path-functions.ts.
import { lstatSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Errno } from './codes.ts';
import { Refusal } from './descriptors.ts';
import type { OpenFolder } from './descriptors.ts';

const PATH_BYTES_MAX = 4096;
const LINKS_MAX = 40;

/** `follow`: a link at the end is followed too. What does not exist is no error here. */
export function resolveIn(folder: OpenFolder, path: string, follow: boolean): string {
  if (path === '') throw new Refusal(Errno.noEntry);
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw new Refusal(Errno.nameTooLong);
  if (path.includes('\0')) throw new Refusal(Errno.invalid);
  if (path.startsWith('/')) throw new Refusal(Errno.notCapable);
  const { root } = folder;
  let at = folder.path;
  let links = 0;
  const parts = path.split('/');
  while (parts.length > 0) {
    const part = parts.shift()!;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (at === root) throw new Refusal(Errno.notCapable);
      at = join(at, '..');
      continue;
    }
    const next = join(at, part);
    const last = parts.every((one) => one === '' || one === '.');
    const target = last && !follow ? undefined : linkAt(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    if (++links > LINKS_MAX) throw new Refusal(Errno.loop);
    // An absolute link means a place of the sandbox, which may be inside of the folder.
    const inside = root === '/' ? target : target.startsWith(`${root}/`) ? target.slice(root.length) : undefined;
    if (target.startsWith('/')) {
      if (inside === undefined) throw new Refusal(Errno.notCapable);
      at = root;
      parts.unshift(...inside.split('/'));
    } else parts.unshift(...target.split('/'));
  }
  return at;
}

function linkAt(path: string): string | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
}
