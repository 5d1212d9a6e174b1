// WASI's functions for paths. Invariant: the code folder cannot be written, /tmp can; every path goes through paths.ts. Called
// through imports.ts.
import {
  fstatSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  closeSync,
  constants,
} from 'node:fs';
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { DescriptorFlag, Errno, LOOKUP_FOLLOW, OpenFlag, RIGHT_READ, RIGHT_WRITE } from './codes.ts';
import { Refusal } from './descriptors.ts';
import type { OpenFolder } from './descriptors.ts';
import { timesOf, writeStat } from './fd-functions.ts';
import type { WasiTable } from './fd-functions.ts';
import { resolveIn } from './paths.ts';
import type { Run } from './run.ts';

export const PATH_FUNCTIONS: WasiTable<Extract<WasiFunction, `path_${string}`>> = {
  path_open(
    run,
    fd: number,
    lookup: number,
    at: number,
    length: number,
    flags: number,
    rights: bigint,
    _inherited: bigint,
    descriptorFlags: number,
    openedAt: number,
  ) {
    const folder = run.descriptors.folder(fd);
    const path = pathOf(run, folder, { at, length, follow: follows(lookup) });
    const append = (descriptorFlags & DescriptorFlag.append) !== 0;
    const asked = { flags, append, read: (rights & RIGHT_READ) !== 0n, write: (rights & RIGHT_WRITE) !== 0n };
    run.memory.u32(openedAt, open(run, folder, path, asked));
    return Errno.success;
  },
  path_filestat_get(run, fd: number, lookup: number, at: number, length: number, into: number) {
    const follow = follows(lookup);
    const path = pathOf(run, run.descriptors.folder(fd), { at, length, follow });
    writeStat(run.memory, into, follow ? statSync(path) : lstatSync(path));
    return Errno.success;
  },
  path_filestat_set_times(run, fd: number, lookup: number, at: number, length: number, accessed: bigint, changed: bigint, flags: number) {
    const follow = follows(lookup);
    const path = pathOf(run, writableFolder(run, fd), { at, length, follow });
    const [atime, mtime] = timesOf(lstatSync(path), { accessed, changed, flags });
    (follow ? utimesSync : lutimesSync)(path, atime, mtime);
    return Errno.success;
  },
  path_readlink(run, fd: number, at: number, length: number, into: number, bytes: number, usedAt: number) {
    const target = readlinkSync(pathOf(run, run.descriptors.folder(fd), { at, length, follow: false }), 'buffer');
    run.memory.u32(usedAt, target.copy(run.memory.bytes(into, bytes)));
    return Errno.success;
  },
  path_create_directory(run, fd: number, at: number, length: number) {
    mkdirSync(entryOf(run, fd, at, length));
    return Errno.success;
  },
  path_remove_directory(run, fd: number, at: number, length: number) {
    rmdirSync(entryOf(run, fd, at, length));
    return Errno.success;
  },
  path_unlink_file(run, fd: number, at: number, length: number) {
    unlinkSync(entryOf(run, fd, at, length));
    return Errno.success;
  },
  path_rename(run, fd: number, at: number, length: number, toFd: number, toAt: number, toLength: number) {
    renameSync(entryOf(run, fd, at, length), entryOf(run, toFd, toAt, toLength));
    return Errno.success;
  },
  path_link(run, fd: number, lookup: number, at: number, length: number, toFd: number, toAt: number, toLength: number) {
    linkSync(pathOf(run, writableFolder(run, fd), { at, length, follow: follows(lookup) }), entryOf(run, toFd, toAt, toLength));
    return Errno.success;
  },
  path_symlink(run, at: number, length: number, fd: number, toAt: number, toLength: number) {
    const target = run.memory.text(at, length);
    if (target.startsWith('/')) return Errno.notCapable;
    symlinkSync(target, entryOf(run, fd, toAt, toLength));
    return Errno.success;
  },
};

function follows(lookup: number): boolean {
  return (lookup & LOOKUP_FOLLOW) !== 0;
}

function pathOf({ memory }: Run, folder: OpenFolder, { at, length, follow }: { at: number; length: number; follow: boolean }): string {
  return resolveIn(folder, memory.text(at, length), follow);
}

/** For what changes something there. */
function writableFolder({ descriptors }: Run, fd: number): OpenFolder {
  const folder = descriptors.folder(fd);
  if (!folder.writable) throw new Refusal(Errno.readOnly);
  return folder;
}

/** An entry of a folder that may be changed; a link is itself. */
function entryOf(run: Run, fd: number, at: number, length: number): string {
  return pathOf(run, writableFolder(run, fd), { at, length, follow: false });
}

function open(
  run: Run,
  folder: OpenFolder,
  path: string,
  asked: { flags: number; append: boolean; read: boolean; write: boolean },
): number {
  const { descriptors } = run;
  const { flags, append, write } = asked;
  const creates = (flags & (OpenFlag.create | OpenFlag.truncate)) !== 0;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) {
    if (creates && (flags & OpenFlag.exclusive) !== 0) throw new Refusal(Errno.exists);
    if ((flags & OpenFlag.truncate) !== 0) throw new Refusal(Errno.isFolder);
    return descriptors.add({ kind: 'folder', root: folder.root, path, writable: folder.writable });
  }
  if ((flags & OpenFlag.folder) !== 0) throw new Refusal(found === undefined ? Errno.noEntry : Errno.notFolder);
  // Toolchains ask for all rights when they only mean to read.
  const writes = write && (folder.writable || creates);
  if ((writes || creates) && !folder.writable) throw new Refusal(Errno.readOnly);
  const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW } = constants;
  let mode = writes ? (asked.read ? O_RDWR : O_WRONLY) : O_RDONLY;
  if ((flags & OpenFlag.create) !== 0) mode |= O_CREAT;
  if ((flags & OpenFlag.exclusive) !== 0) mode |= O_EXCL;
  if ((flags & OpenFlag.truncate) !== 0) mode |= O_TRUNC;
  // The path has no links left that may be followed.
  const host = openSync(path, mode | O_NOFOLLOW);
  try {
    if (!fstatSync(host).isFile()) throw new Refusal(Errno.notSupported);
    return descriptors.add({ kind: 'file', host, position: 0, append, readable: asked.read || !writes, writable: writes });
  } catch (error) {
    closeSync(host);
    throw error;
  }
}
