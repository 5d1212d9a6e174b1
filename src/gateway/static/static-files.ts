// The files of served folders on this node: their indexes, and the bytes of the small ones that were asked for lately, within one
// budget. Large ones are read as the client takes them. Invariant: `bytes` is exactly what is held, never above the budget.
// Made by server/edge.ts, used by static-target.ts.
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { PACKED_INDEX } from '../../protocol/packed-folder.ts';
import type { ByteRange } from '../byte-ranges.ts';
import { readIndex } from './file-index.ts';
import type { Coding, FileIndex, StaticFile } from './file-index.ts';

/** Larger files are streamed from the disk, which the kernel keeps in its own cache. */
const HELD_BYTES_MAX = 256 * 1024;
/** Of a file that is streamed: how much is read at once. */
const CHUNK_BYTES = 128 * 1024;
/** Beside the bytes of each, about. */
const OVERHEAD = 256;

export class StaticFiles {
  readonly bytesMax: number;
  readonly #folderOf: (sha256: string) => Promise<string>;
  /** Lives as long as a deployment uses it. */
  readonly #folders = new Map<string, WeakRef<StaticFolder>>();
  readonly #gone = new FinalizationRegistry<string>((sha256) => {
    if (this.#folders.get(sha256)?.deref() === undefined) this.#folders.delete(sha256);
  });
  /** The one that was asked for last is the last. */
  readonly #held = new Map<string, Buffer>();
  #bytes = 0;

  /** `folderOf`: where the files of an artifact are. */
  constructor(options: { folderOf: (sha256: string) => Promise<string>; bytesMax: number }) {
    this.#folderOf = options.folderOf;
    this.bytesMax = options.bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  folder(sha256: string): StaticFolder {
    let folder = this.#folders.get(sha256)?.deref();
    if (folder === undefined) {
      folder = new StaticFolder(this, sha256, () => this.#folderOf(sha256));
      this.#folders.set(sha256, new WeakRef(folder));
      this.#gone.register(folder, sha256);
    }
    return folder;
  }

  held(key: string): Buffer | undefined {
    const body = this.#held.get(key);
    if (body === undefined) return undefined;
    this.#held.delete(key);
    this.#held.set(key, body);
    return body;
  }

  hold(key: string, body: Buffer): void {
    if (this.#held.has(key) || body.length + OVERHEAD > this.bytesMax) return;
    this.#held.set(key, body);
    this.#bytes += body.length + OVERHEAD;
    for (const [oldest, { length }] of this.#held) {
      if (this.#bytes <= this.bytesMax) return;
      this.#held.delete(oldest);
      this.#bytes -= length + OVERHEAD;
    }
  }
}

/** One artifact. */
export class StaticFolder {
  readonly #owner: StaticFiles;
  readonly #sha256: string;
  readonly #place: () => Promise<string>;
  #at = '';
  #loading: Promise<FileIndex> | undefined;
  /** undefined until it was read once. */
  index: FileIndex | undefined;

  constructor(owner: StaticFiles, sha256: string, place: () => Promise<string>) {
    this.#owner = owner;
    this.#sha256 = sha256;
    this.#place = place;
  }

  load(): Promise<FileIndex> {
    this.#loading ??= this.#read().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** The whole of a file: at once if it is held, as a promise if it is small, else a stream. */
  whole(file: StaticFile, coding: Coding | undefined): Buffer | Promise<Buffer> | Readable {
    const bytes = coding === undefined ? file.bytes : file[coding]!;
    if (bytes > HELD_BYTES_MAX) return this.#stream(file, coding, { first: 0, last: bytes - 1 });
    const key = `${this.#sha256}/${coding ?? 'files'}/${file.path}`;
    return this.#owner.held(key) ?? this.#readSmall(key, file, { coding, bytes });
  }

  /** A part of a file as it is. */
  part(file: StaticFile, range: ByteRange): Buffer | Promise<Buffer> | Readable {
    if (file.bytes > HELD_BYTES_MAX) return this.#stream(file, undefined, range);
    const whole = this.whole(file, undefined) as Buffer | Promise<Buffer>;
    const cut = (body: Buffer): Buffer => body.subarray(range.first, range.last + 1);
    return whole instanceof Promise ? whole.then(cut) : cut(whole);
  }

  async #read(): Promise<FileIndex> {
    this.#at = await this.#place();
    const file = join(this.#at, PACKED_INDEX);
    this.index = readIndex(await readFile(file, 'utf8'), (await stat(file)).mtimeMs);
    return this.index;
  }

  async #readSmall(key: string, file: StaticFile, { coding, bytes }: { coding: Coding | undefined; bytes: number }): Promise<Buffer> {
    const body = await readFile(this.#pathOf(file, coding));
    if (body.length !== bytes) throw new Error(`${file.path} is not what its folder's index says`);
    this.#owner.hold(key, body);
    return body;
  }

  #stream(file: StaticFile, coding: Coding | undefined, { first, last }: ByteRange): Readable {
    return createReadStream(this.#pathOf(file, coding), { start: first, end: last, highWaterMark: CHUNK_BYTES });
  }

  #pathOf(file: StaticFile, coding: Coding | undefined): string {
    return join(this.#at, coding ?? 'files', file.path);
  }
}
