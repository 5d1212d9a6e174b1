// WASI's functions for what is open: reading, writing, seeking, what it is. Invariant: reading and writing a standard stream
// may suspend the program, nothing else does. Called through imports.ts.
import { fdatasyncSync, fstatSync, fsyncSync, ftruncateSync, futimesSync, readdirSync, readvSync, writevSync } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import type { WasiFunction } from '../../../../protocol/wasm.ts';
import { DIRENT_BYTES, DescriptorFlag, Errno, FILESTAT_BYTES, FileType, RIGHTS_ALL, RIGHT_READ, RIGHT_WRITE, Whence } from './codes.ts';
import { Refusal, fileTypeOf, flagsOf } from './descriptors.ts';
import type { Count, OpenFile } from './descriptors.ts';
import type { ProgramMemory } from './memory.ts';
import type { Run } from './run.ts';

/** Called with the run and with what the program has given: numbers, and bigints for 64 bits. */
export type WasiCall = (run: Run, ...args: never[]) => number | Promise<number>;
export type WasiTable<Names extends WasiFunction> = Record<Names, WasiCall>;

const FDSTAT_BYTES = 24;
/** fstflags: the time is now. */
const SET_ACCESS = 1;
const SET_ACCESS_NOW = 2;
const SET_CHANGE = 4;
const SET_CHANGE_NOW = 8;

export const FD_FUNCTIONS: WasiTable<Extract<WasiFunction, `fd_${string}`>> = {
  fd_read(run, fd: number, list: number, length: number, at: number) {
    const into = run.memory.buffers(list, length);
    const found = run.descriptors.get(fd);
    if (found.kind === 'stream') return counted(run, (found.read ?? refuse)(into), at);
    const file = run.descriptors.file(fd);
    const count = readFile(file, into, file.position);
    file.position += count;
    return counted(run, count, at);
  },
  fd_write(run, fd: number, list: number, length: number, at: number) {
    const from = run.memory.buffers(list, length);
    const found = run.descriptors.get(fd);
    if (found.kind === 'stream') return counted(run, (found.write ?? refuse)(from), at);
    const file = run.descriptors.file(fd);
    if (file.append) file.position = fstatSync(file.host).size;
    const count = writeFile(file, from, file.position);
    file.position += count;
    return counted(run, count, at);
  },
  fd_pread({ descriptors, memory }, fd: number, list: number, length: number, offset: bigint, at: number) {
    memory.u32(at, readFile(descriptors.file(fd), memory.buffers(list, length), Number(offset)));
    return Errno.success;
  },
  fd_pwrite({ descriptors, memory }, fd: number, list: number, length: number, offset: bigint, at: number) {
    memory.u32(at, writeFile(descriptors.file(fd), memory.buffers(list, length), Number(offset)));
    return Errno.success;
  },
  fd_seek: seek,
  fd_tell: (run, fd: number, at: number) => seek(run, fd, 0n, Whence.current, at),
  fd_close({ descriptors }, fd: number) {
    descriptors.close(fd);
    return Errno.success;
  },
  fd_renumber({ descriptors }, from: number, to: number) {
    descriptors.move(from, to);
    return Errno.success;
  },
  fd_fdstat_get({ descriptors, memory }, fd: number, at: number) {
    const found = descriptors.get(fd);
    memory.fill(at, FDSTAT_BYTES);
    memory.u8(at, fileTypeOf(found));
    memory.u16(at + 2, flagsOf(found));
    const rights =
      found.kind === 'stream' ? (found.read === undefined ? 0n : RIGHT_READ) | (found.write === undefined ? 0n : RIGHT_WRITE) : RIGHTS_ALL;
    memory.u64(at + 8, rights);
    memory.u64(at + 16, found.kind === 'folder' ? RIGHTS_ALL : 0n);
    return Errno.success;
  },
  fd_fdstat_set_flags({ descriptors }, fd: number, flags: number) {
    const found = descriptors.get(fd);
    if (found.kind === 'file') found.append = (flags & DescriptorFlag.append) !== 0;
    return Errno.success;
  },
  // Rights were taken out of WASI; nobody gives any up any more.
  fd_fdstat_set_rights({ descriptors }, fd: number) {
    descriptors.get(fd);
    return Errno.success;
  },
  fd_filestat_get({ descriptors, memory }, fd: number, at: number) {
    const found = descriptors.get(fd);
    if (found.kind === 'file') writeStat(memory, at, fstatSync(found.host), FileType.file);
    else {
      memory.fill(at, FILESTAT_BYTES);
      memory.u8(at + 16, fileTypeOf(found));
    }
    return Errno.success;
  },
  fd_filestat_set_size({ descriptors }, fd: number, bytes: bigint) {
    ftruncateSync(writable(descriptors.file(fd)).host, Number(bytes));
    return Errno.success;
  },
  fd_filestat_set_times({ descriptors }, fd: number, accessed: bigint, changed: bigint, flags: number) {
    const file = writable(descriptors.file(fd));
    const [atime, mtime] = timesOf(fstatSync(file.host), { accessed, changed, flags });
    futimesSync(file.host, atime, mtime);
    return Errno.success;
  },
  fd_allocate({ descriptors }, fd: number, offset: bigint, bytes: bigint) {
    const file = writable(descriptors.file(fd));
    const size = Number(offset) + Number(bytes);
    if (fstatSync(file.host).size < size) ftruncateSync(file.host, size);
    return Errno.success;
  },
  fd_advise({ descriptors }, fd: number) {
    descriptors.file(fd);
    return Errno.success;
  },
  fd_sync({ descriptors }, fd: number) {
    fsyncSync(descriptors.file(fd).host);
    return Errno.success;
  },
  fd_datasync({ descriptors }, fd: number) {
    fdatasyncSync(descriptors.file(fd).host);
    return Errno.success;
  },
  fd_prestat_get({ descriptors, memory }, fd: number, at: number) {
    const found = descriptors.get(fd);
    if (found.kind !== 'folder' || found.name === undefined) return Errno.badDescriptor;
    memory.u32(at, 0);
    memory.u32(at + 4, Buffer.byteLength(found.name));
    return Errno.success;
  },
  fd_prestat_dir_name({ descriptors, memory }, fd: number, at: number, length: number) {
    const found = descriptors.get(fd);
    if (found.kind !== 'folder' || found.name === undefined) return Errno.badDescriptor;
    if (length >>> 0 < Buffer.byteLength(found.name)) return Errno.nameTooLong;
    memory.bytes(at, length).write(found.name);
    return Errno.success;
  },
  fd_readdir({ descriptors, memory }, fd: number, at: number, length: number, cookie: bigint, usedAt: number) {
    const into = memory.bytes(at, length);
    memory.u32(usedAt, listFolder(descriptors.folder(fd).path, into, Number(cookie)));
    return Errno.success;
  },
};

/** How much was read or written, told to the program. */
function counted({ memory }: Run, count: Count, at: number): number | Promise<number> {
  const tell = (bytes: number): number => {
    memory.u32(at, bytes);
    return Errno.success;
  };
  return typeof count === 'number' ? tell(count) : count.then(tell);
}

function seek({ descriptors, memory }: Run, fd: number, offset: bigint, whence: number, at: number): number {
  const file = descriptors.file(fd);
  const base =
    whence === Whence.start ? 0 : whence === Whence.current ? file.position : whence === Whence.end ? fstatSync(file.host).size : -1;
  const position = base + Number(offset);
  if (base < 0 || position < 0 || !Number.isSafeInteger(position)) return Errno.invalid;
  file.position = position;
  memory.u64(at, BigInt(position));
  return Errno.success;
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
