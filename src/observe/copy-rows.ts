// Encoded rows on their way to COPY, in chunks of bytes. Invariant: rows are whole and in the order they came; `bytes` is
// exactly what they hold. Rows are encoded as they arrive rather than when they are written: records that live as objects
// for the 200 ms between make every scavenge copy them, which at 20,000 records/s was a pause of 7 to 15 ms several times
// a second and cost more CPU than the encoding. Bytes lie outside of the heap. Used by batch-recorder.ts, copy-batch.ts.

const CHUNK_BYTES = 64 * 1024;

export class CopyRows {
  #full: Buffer[] = [];
  #last: Buffer | undefined;
  #used = 0;
  rows = 0;
  bytes = 0;

  /** `bytes`: Buffer.byteLength(row). A lone surrogate becomes U+FFFD here. */
  append(row: string, bytes: number): void {
    if (this.#last === undefined || this.#used + bytes > this.#last.length) {
      if (this.#last !== undefined) this.#full.push(this.#last.subarray(0, this.#used));
      this.#last = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, bytes));
      this.#used = 0;
    }
    this.#last.write(row, this.#used);
    this.#used += bytes;
    this.bytes += bytes;
    this.rows++;
  }

  chunks(): Buffer[] {
    return this.#last === undefined ? [] : [...this.#full, this.#last.subarray(0, this.#used)];
  }
}
