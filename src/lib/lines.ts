// Cuts a byte stream into lines of text. Invariant: no more than `lineBytesMax` are held; a longer line is passed on in pieces.
// Called for what child processes write to their stderr, and for JSON lines over sockets.
import { StringDecoder } from 'node:string_decoder';

export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #lengthMax: number;
  #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(onLine: (line: string) => void, options: { lineBytesMax: number }) {
    this.#onLine = onLine;
    this.#lengthMax = options.lineBytesMax;
  }

  push(chunk: Buffer): void {
    const pieces = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = pieces.pop()!;
    for (const piece of pieces) this.#onLine(piece.endsWith('\r') ? piece.slice(0, -1) : piece);
    while (this.#rest.length > this.#lengthMax) {
      this.#onLine(this.#rest.slice(0, this.#lengthMax));
      this.#rest = this.#rest.slice(this.#lengthMax);
    }
  }

  /** The stream ended: what waits for its line break is the last line. */
  end(): void {
    const last = this.#rest + this.#decoder.end();
    this.#rest = '';
    if (last !== '') this.#onLine(last);
  }
}
