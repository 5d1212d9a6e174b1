// WASI's functions for what is open: reading, writing, seeking, what it is. Invariant: reading and writing a standard stream
// may suspend the program, nothing else does. One table for each run, made by imports.ts.
import { fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, futimesSync, readdirSync, readvSync, writevSync } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { DIRENT_BYTES, DescriptorFlag, Errno, FILESTAT_BYTES, FileType, RIGHTS_ALL, RIGHT_READ, RIGHT_WRITE, Whence } from './codes.ts';
import { Refusal, fileTypeOf, flagsOf } from './descriptors.ts';
import type { Count, OpenFile } from './descriptors.ts';
import type { ProgramMemory } from './memory.ts';
import type { Run } from './run.ts';

export type WasiImport = (...args: never[]) => number | Promise<number> | void;
export type WasiTable<Names extends WasiFunction> = Record<Names, WasiImport>;

const FDSTAT_BYTES = 24;
/** fstflags: the time is now. */
const SET_ACCESS = 1;
const SET_ACCESS_NOW = 2;
const SET_CHANGE = 4;
const SET_CHANGE_NOW = 8;

type FdFunction = Extract<WasiFunction, `fd_${string}`>;

export function fdFunctions(run: Run): WasiTable<FdFunction> {
  const { descriptors, memory } = run;
  const counted = (count: Count, at: number): number | Promise<number> => {
    if (typeof count !== 'number') return count.then((bytes) => counted(bytes, at));
    memory.u32(at, count);
    return Errno.success;
  };
  const read = (fd: number, list: number, length: number): Count => {
    const into = memory.buffers(list, length);
    const found = descriptors.get(fd);
    if (found.kind === 'stream') return (found.read ?? refuse)(into);
    const file = descriptors.file(fd);
    const count = readFile(file, into, file.position);
    file.position += count;
    return count;
  };
  const write = (fd: number, list: number, length: number): Count => {
    const from = memory.buffers(list, length);
    const found = descriptors.get(fd);
    if (found.kind === 'stream') return (found.write ?? refuse)(from);
    const file = descriptors.file(fd);
    if (file.append) file.position = fstatSync(file.host).size;
    const count = writeFile(file, from, file.position);
    file.position += count;
    return count;
  };
  const seek = (fd: number, offset: bigint, whence: number, at: number): number => {
    const file = descriptors.file(fd);
    const base =
      whence === Whence.start ? 0 : whence === Whence.current ? file.position : whence === Whence.end ? fstatSync(file.host).size : -1;
    const position = base + Number(offset);
    if (base < 0 || position < 0 || !Number.isSafeInteger(position)) return Errno.invalid;
    file.position = position;
    memory.u64(at, BigInt(position));
    return Errno.success;
  };
  /** For those that only have to be about a file. */
  const onFile = (act: (file: OpenFile) => unknown) => (fd: number) => {
    act(descriptors.file(fd));
    return Errno.success;
  };
  return {
    fd_read: (fd: number, list: number, length: number, at: number) => counted(read(fd, list, length), at),
    fd_write: (fd: number, list: number, length: number, at: number) => counted(write(fd, list, length), at),
    fd_pread: (fd: number, list: number, length: number, offset: bigint, at: number) =>
      counted(readFile(descriptors.file(fd), memory.buffers(list, length), Number(offset)), at),
    fd_pwrite: (fd: number, list: number, length: number, offset: bigint, at: number) =>
      counted(writeFile(descriptors.file(fd), memory.buffers(list, length), Number(offset)), at),
    fd_seek: seek,
    fd_tell: (fd: number, at: number) => seek(fd, 0n, Whence.current, at),
    fd_close: (fd: number) => {
      descriptors.close(fd);
      return Errno.success;
    },
    fd_renumber: (from: number, to: number) => {
      descriptors.move(from, to);
      return Errno.success;
    },
    fd_fdstat_get: (fd: number, at: number) => {
      const found = descriptors.get(fd);
      memory.fill(at, FDSTAT_BYTES);
      memory.u8(at, fileTypeOf(found));
      memory.u16(at + 2, flagsOf(found));
      const rights =
        found.kind === 'stream'
          ? (found.read === undefined ? 0n : RIGHT_READ) | (found.write === undefined ? 0n : RIGHT_WRITE)
          : RIGHTS_ALL;
      memory.u64(at + 8, rights);
      memory.u64(at + 16, found.kind === 'folder' ? RIGHTS_ALL : 0n);
      return Errno.success;
    },
    fd_fdstat_set_flags: (fd: number, flags: number) => {
      const found = descriptors.get(fd);
      if (found.kind === 'file') found.append = (flags & DescriptorFlag.append) !== 0;
      return Errno.success;
    },
    // Rights were taken out of WASI; nobody gives any up any more.
    fd_fdstat_set_rights: (fd: number) => {
      descriptors.get(fd);
      return Errno.success;
    },
    fd_filestat_get: (fd: number, at: number) => {
      const found = descriptors.get(fd);
      if (found.kind === 'file') writeStat(memory, at, fstatSync(found.host), FileType.file);
      else {
        memory.fill(at, FILESTAT_BYTES);
        memory.u8(at + 16, fileTypeOf(found));
      }
      return Errno.success;
    },
    fd_filestat_set_size: (fd: number, bytes: bigint) => {
      ftruncateSync(writable(descriptors.file(fd)).host, Number(bytes));
      return Errno.success;
    },
    fd_filestat_set_times: (fd: number, accessed: bigint, changed: bigint, flags: number) => {
      const file = writable(descriptors.file(fd));
      const [atime, mtime] = timesOf(fstatSync(file.host), { accessed, changed, flags });
      futimesSync(file.host, atime, mtime);
      return Errno.success;
    },
    fd_allocate: (fd: number, offset: bigint, bytes: bigint) => {
      const file = writable(descriptors.file(fd));
      const size = Number(offset) + Number(bytes);
      if (fstatSync(file.host).size < size) ftruncateSync(file.host, size);
      return Errno.success;
    },
    fd_advise: onFile(() => {}),
    fd_sync: onFile((file) => fsyncSync(file.host)),
    fd_datasync: onFile((file) => fdatasyncSync(file.host)),
    fd_prestat_get: (fd: number, at: number) => {
      const found = descriptors.get(fd);
      if (found.kind !== 'folder' || found.name === undefined) return Errno.badDescriptor;
      memory.u32(at, 0);
      memory.u32(at + 4, Buffer.byteLength(found.name));
      return Errno.success;
    },
    fd_prestat_dir_name: (fd: number, at: number, length: number) => {
      const found = descriptors.get(fd);
      if (found.kind !== 'folder' || found.name === undefined) return Errno.badDescriptor;
      if (length >>> 0 < Buffer.byteLength(found.name)) return Errno.nameTooLong;
      memory.bytes(at, length).write(found.name);
      return Errno.success;
    },
    fd_readdir: (fd: number, at: number, length: number, cookie: bigint, usedAt: number) => {
      const into = memory.bytes(at, length);
      memory.u32(usedAt, listFolder(descriptors.folder(fd).path, into, Number(cookie)));
      return Errno.success;
    },
  };
}

function refuse(): never {
  throw new Refusal(Errno.badDescriptor);
}

function writable(file: OpenFile): OpenFile {
  if (!file.writable) throw new Refusal(Errno.badDescriptor);
  return file;
}

function readFile(file: OpenFile, into: Buffer[], position: number): number {
  if (!file.readable) throw new Refusal(Errno.badDescriptor);
  return into.length === 0 ? 0 : readvSync(file.host, into, position);
}

function writeFile(file: OpenFile, from: Buffer[], position: number): number {
  return from.length === 0 ? 0 : writevSync(writable(file).host, from, position);
}

/** Directory entries from the `cookie`-th on, cut where the buffer ends: the program then asks again from the last whole one. */
function listFolder(path: string, into: Buffer, cookie: number): number {
  const here = (name: string) => ({ name, type: FileType.folder });
  const entries = [
    here('.'),
    here('..'),
    ...readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, type: typeOf(entry) })),
  ];
  let used = 0;
  for (let i = cookie; i < entries.length && used < into.length; i++) {
    const name = Buffer.from(entries[i]!.name);
    const entry = Buffer.alloc(DIRENT_BYTES + name.length);
    entry.writeBigUInt64LE(BigInt(i + 1), 0);
    entry.writeUInt32LE(name.length, 16);
    entry.writeUInt8(entries[i]!.type, 20);
    entry.set(name, DIRENT_BYTES);
    used += entry.copy(into, used);
  }
  return used;
}

function typeOf(entry: Dirent | Stats): number {
  return entry.isFile() ? FileType.file : entry.isDirectory() ? FileType.folder : entry.isSymbolicLink() ? FileType.link : FileType.unknown;
}

export function writeStat(memory: ProgramMemory, at: number, stat: Stats, type: number = typeOf(stat)): void {
  memory.fill(at, FILESTAT_BYTES);
  memory.u64(at, BigInt(stat.dev));
  memory.u64(at + 8, BigInt(stat.ino));
  memory.u8(at + 16, type);
  memory.u64(at + 24, BigInt(stat.nlink));
  memory.u64(at + 32, BigInt(stat.size));
  for (const [index, ms] of [stat.atimeMs, stat.mtimeMs, stat.ctimeMs].entries())
    memory.u64(at + 40 + index * 8, BigInt(Math.trunc(ms)) * 1_000_000n);
}

/** In seconds, as Node takes them. */
export function timesOf(
  stat: Stats,
  { accessed, changed, flags }: { accessed: bigint; changed: bigint; flags: number },
): [accessed: number, changed: number] {
  const pick = (set: number, now: number, given: bigint, before: number): number =>
    (flags & now) !== 0 ? Date.now() / 1000 : (flags & set) !== 0 ? Number(given) / 1e9 : before / 1000;
  return [pick(SET_ACCESS, SET_ACCESS_NOW, accessed, stat.atimeMs), pick(SET_CHANGE, SET_CHANGE_NOW, changed, stat.mtimeMs)];
}
