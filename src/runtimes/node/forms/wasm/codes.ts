// The numbers of WASI preview 1: error codes, file types, flags, and the sizes of its structures
// (github.com/WebAssembly/WASI, legacy/preview1). Used by the other files of this folder.

export const Errno = {
  success: 0,
  tooBig: 1,
  access: 2,
  badDescriptor: 8,
  exists: 20,
  fault: 21,
  invalid: 28,
  io: 29,
  isFolder: 31,
  loop: 32,
  tooManyFiles: 33,
  nameTooLong: 37,
  noEntry: 44,
  noSpace: 51,
  noSystem: 52,
  notFolder: 54,
  notEmpty: 55,
  notSocket: 57,
  notSupported: 58,
  notPermitted: 63,
  readOnly: 69,
  illegalSeek: 70,
  crossDevice: 75,
  notCapable: 76,
} as const;

/** Of Node's error codes, those that a program can meet here. */
const OF_NODE: Record<string, number> = {
  EACCES: Errno.access,
  EBADF: Errno.badDescriptor,
  EEXIST: Errno.exists,
  EINVAL: Errno.invalid,
  EIO: Errno.io,
  EISDIR: Errno.isFolder,
  ELOOP: Errno.loop,
  EMFILE: Errno.tooManyFiles,
  ENAMETOOLONG: Errno.nameTooLong,
  ENOENT: Errno.noEntry,
  ENOSPC: Errno.noSpace,
  ENOTDIR: Errno.notFolder,
  ENOTEMPTY: Errno.notEmpty,
  EPERM: Errno.notPermitted,
  EROFS: Errno.readOnly,
  ESPIPE: Errno.illegalSeek,
  EXDEV: Errno.crossDevice,
};

export function errnoOf(error: unknown): number {
  return OF_NODE[String((error as NodeJS.ErrnoException).code)] ?? Errno.io;
}

export const FileType = { unknown: 0, characterDevice: 2, folder: 3, file: 4, link: 7 } as const;

export const OpenFlag = { create: 1, folder: 2, exclusive: 4, truncate: 8 } as const;
export const DescriptorFlag = { append: 1, nonBlocking: 4 } as const;
export const LOOKUP_FOLLOW = 1;

/** Rights are bits of 64; a program asks for these two when it opens a file. */
export const RIGHT_READ = 1n << 1n;
export const RIGHT_WRITE = 1n << 6n;
export const RIGHTS_ALL = (1n << 30n) - 1n;

export const Whence = { start: 0, current: 1, end: 2 } as const;
export const Clock = { realtime: 0, monotonic: 1, process: 2, thread: 3 } as const;
export const Poll = { clock: 0, read: 1, write: 2 } as const;
/** Of a clock subscription: the time is a point, not a span. */
export const POLL_ABSOLUTE = 1;
export const SUBSCRIPTION_BYTES = 48;
export const EVENT_BYTES = 32;
export const FILESTAT_BYTES = 64;
export const DIRENT_BYTES = 24;
