// The memory of a program as WASI's functions read and write it: numbers in little endian, strings, lists of buffers.
// Invariant: an address outside of the memory is a Fault, which becomes an error code for the program; nothing outside of its
// memory is ever touched. Used by the other files of this folder.

/** An address or a length that the memory does not have. */
export class Fault extends RangeError {}

/** So many buffers in one call; POSIX's IOV_MAX. */
const BUFFERS_MAX = 1024;

export class ProgramMemory {
  readonly #memory: { readonly buffer: ArrayBuffer };
  #buffer: ArrayBuffer | undefined;
  #view: DataView<ArrayBuffer> | undefined;

  constructor(memory: { readonly buffer: ArrayBuffer }) {
    this.#memory = memory;
  }

  /** The memory gets another buffer whenever it grows. */
  get #data(): DataView<ArrayBuffer> {
    const { buffer } = this.#memory;
    if (this.#buffer !== buffer) {
      this.#buffer = buffer;
      this.#view = new DataView(buffer);
    }
    return this.#view!;
  }

  u8(at: number, value: number): void {
    this.#data.setUint8(at >>> 0, value);
  }

  u16(at: number, value: number): void {
    this.#data.setUint16(at >>> 0, value, true);
  }

  u32(at: number, value: number): void {
    this.#data.setUint32(at >>> 0, value, true);
  }

  u64(at: number, value: bigint): void {
    this.#data.setBigUint64(at >>> 0, value, true);
  }

  readU8(at: number): number {
    return this.#data.getUint8(at >>> 0);
  }

  readU16(at: number): number {
    return this.#data.getUint16(at >>> 0, true);
  }

  readU32(at: number): number {
    return this.#data.getUint32(at >>> 0, true);
  }

  readU64(at: number): bigint {
    return this.#data.getBigUint64(at >>> 0, true);
  }

  /** The bytes themselves, not a copy: good until the program runs again. */
  bytes(at: number, length: number): Buffer {
    const from = at >>> 0;
    const count = length >>> 0;
    const { buffer } = this.#data;
    if (from + count > buffer.byteLength) throw new Fault('an address outside of the memory');
    return Buffer.from(buffer, from, count);
  }

  text(at: number, length: number): string {
    return this.bytes(at, length).toString('utf8');
  }

  fill(at: number, length: number): void {
    this.bytes(at, length).fill(0);
  }

  /** A list of (address, length), as readv and writev take it. */
  buffers(at: number, count: number): Buffer[] {
    if (count >>> 0 > BUFFERS_MAX) throw new Fault('too many buffers');
    const found: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const entry = (at >>> 0) + i * 8;
      found.push(this.bytes(this.readU32(entry), this.readU32(entry + 4)));
    }
    return found;
  }
}
