// What a program can have open, by number: 0 to 2 its standard streams, then the folders that it is given, then what it opens.
// Invariant: at most DESCRIPTORS_MAX at a time; what is open in the host is closed when the run is over, whatever its end.
// Used by fd-functions.ts, path-functions.ts and time-functions.ts; filled by run.ts.
import { closeSync } from 'node:fs';
import { DescriptorFlag, Errno, FileType } from './codes.ts';

const DESCRIPTORS_MAX = 256;

/** Bytes read or written; a promise suspends the program. */
export type Count = number | Promise<number>;

export interface Stream {
  kind: 'stream';
  read?: (into: Buffer[]) => Count;
  write?: (from: Buffer[]) => Count;
  /** For poll_oneoff: undefined when reading (writing) would not suspend the program now. */
  wait?: () => Promise<void> | undefined;
}

export interface OpenFile {
  kind: 'file';
  /** Descriptor of the sandbox. */
  host: number;
  position: number;
  append: boolean;
  readable: boolean;
  writable: boolean;
}

export interface OpenFolder {
  kind: 'folder';
  /** What it may not be left of, and itself; real paths in the sandbox. */
  root: string;
  path: string;
  writable: boolean;
  /** Set for what the program is given at its start: the name that it knows. */
  name?: string;
}

export type Descriptor = Stream | OpenFile | OpenFolder;

/** An error code on its way to the program. */
export class Refusal extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

export class Descriptors {
  readonly #open = new Map<number, Descriptor>();

  set(at: number, descriptor: Descriptor): void {
    this.#open.set(at, descriptor);
  }

  /** The lowest number that is free, as POSIX has it. */
  add(descriptor: Descriptor): number {
    if (this.#open.size >= DESCRIPTORS_MAX) throw new Refusal(Errno.tooManyFiles);
    let at = 0;
    while (this.#open.has(at)) at++;
    this.#open.set(at, descriptor);
    return at;
  }

  get(at: number): Descriptor {
    const found = this.#open.get(at);
    if (found === undefined) throw new Refusal(Errno.badDescriptor);
    return found;
  }

  file(at: number): OpenFile {
    const found = this.get(at);
    if (found.kind === 'file') return found;
    throw new Refusal(found.kind === 'folder' ? Errno.isFolder : Errno.illegalSeek);
  }

  folder(at: number): OpenFolder {
    const found = this.get(at);
    if (found.kind !== 'folder') throw new Refusal(Errno.notFolder);
    return found;
  }

  close(at: number): void {
    const found = this.get(at);
    this.#open.delete(at);
    if (found.kind === 'file') closeSync(found.host);
  }

  move(from: number, to: number): void {
    const found = this.get(from);
    this.get(to);
    if (from === to) return;
    this.close(to);
    this.#open.delete(from);
    this.#open.set(to, found);
  }

  closeAll(): void {
    for (const found of this.#open.values()) if (found.kind === 'file') closeSync(found.host);
    this.#open.clear();
  }
}

export function fileTypeOf({ kind }: Descriptor): number {
  return kind === 'stream' ? FileType.characterDevice : kind === 'file' ? FileType.file : FileType.folder;
}

export function flagsOf(descriptor: Descriptor): number {
  return descriptor.kind === 'file' && descriptor.append ? DescriptorFlag.append : 0;
}
