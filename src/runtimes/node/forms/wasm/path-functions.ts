// WASI's functions for paths. Invariant: the code folder cannot be written, /tmp can; every path goes through paths.ts. One
// table for each run, made by imports.ts.
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

type PathFunction = Extract<WasiFunction, `path_${string}`>;

export function pathFunctions(run: Run): WasiTable<PathFunction> {
  const { descriptors, memory } = run;
  const pathOf = (folder: OpenFolder, at: number, length: number, follow: boolean): string =>
    resolveIn(folder, memory.text(at, length), follow);
  /** For what changes something there. */
  const changing = (fd: number): OpenFolder => {
    const folder = descriptors.folder(fd);
    if (!folder.writable) throw new Refusal(Errno.readOnly);
    return folder;
  };
  const act = (fd: number, at: number, length: number, action: (path: string) => void): number => {
    action(pathOf(changing(fd), at, length, false));
    return Errno.success;
  };
  return {
    path_open: (
      fd: number,
      lookup: number,
      at: number,
      length: number,
      flags: number,
      rights: bigint,
      _inherited: bigint,
      descriptorFlags: number,
      openedAt: number,
    ) => {
      const folder = descriptors.folder(fd);
      const path = pathOf(folder, at, length, (lookup & LOOKUP_FOLLOW) !== 0);
      const asked = {
        flags,
        append: (descriptorFlags & DescriptorFlag.append) !== 0,
        read: (rights & RIGHT_READ) !== 0n,
        write: (rights & RIGHT_WRITE) !== 0n,
      };
      memory.u32(openedAt, open(run, folder, path, asked));
      return Errno.success;
    },
    path_filestat_get: (fd: number, lookup: number, at: number, length: number, into: number) => {
      const follow = (lookup & LOOKUP_FOLLOW) !== 0;
      const path = pathOf(descriptors.folder(fd), at, length, follow);
      writeStat(memory, into, follow ? statSync(path) : lstatSync(path));
      return Errno.success;
    },
    path_filestat_set_times: (fd: number, lookup: number, at: number, length: number, accessed: bigint, changed: bigint, flags: number) => {
      const follow = (lookup & LOOKUP_FOLLOW) !== 0;
      const path = pathOf(changing(fd), at, length, follow);
      const [atime, mtime] = timesOf(lstatSync(path), { accessed, changed, flags });
      (follow ? utimesSync : lutimesSync)(path, atime, mtime);
      return Errno.success;
    },
    path_readlink: (fd: number, at: number, length: number, into: number, bytes: number, usedAt: number) => {
      const target = readlinkSync(pathOf(descriptors.folder(fd), at, length, false), 'buffer');
      memory.u32(usedAt, target.copy(memory.bytes(into, bytes)));
      return Errno.success;
    },
    path_create_directory: (fd: number, at: number, length: number) => act(fd, at, length, (path) => mkdirSync(path)),
    path_remove_directory: (fd: number, at: number, length: number) => act(fd, at, length, (path) => rmdirSync(path)),
    path_unlink_file: (fd: number, at: number, length: number) => act(fd, at, length, (path) => unlinkSync(path)),
    path_rename: (fd: number, at: number, length: number, toFd: number, toAt: number, toLength: number) =>
      act(fd, at, length, (path) => renameSync(path, pathOf(changing(toFd), toAt, toLength, false))),
    path_link: (fd: number, lookup: number, at: number, length: number, toFd: number, toAt: number, toLength: number) => {
      linkSync(pathOf(changing(fd), at, length, (lookup & LOOKUP_FOLLOW) !== 0), pathOf(changing(toFd), toAt, toLength, false));
      return Errno.success;
    },
    path_symlink: (at: number, length: number, fd: number, toAt: number, toLength: number) => {
      const target = memory.text(at, length);
      if (target.startsWith('/')) return Errno.notCapable;
      return act(fd, toAt, toLength, (path) => symlinkSync(target, path));
    },
  };
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
