// Bytes of a program's stderr, made into lines. Invariant: an unfinished line is kept up to a bound, and a character that two
// writes share stays whole. One for each run, used by program.ts.
import { StringDecoder } from 'node:string_decoder';

export class LogLines {
  readonly #record: (line: string) => void;
  readonly #charactersMax: number;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';

  constructor(record: (line: string) => void, charactersMax: number) {
    this.#record = record;
    this.#charactersMax = charactersMax;
  }

  write(chunk: Buffer): void {
    const lines = (this.#line + this.#decoder.write(chunk)).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) this.#record(line.endsWith('\r') ? line.slice(0, -1) : line);
    for (; this.#line.length > this.#charactersMax; this.#line = this.#line.slice(this.#charactersMax)) {
      this.#record(this.#line.slice(0, this.#charactersMax));
    }
  }

  end(): void {
    const line = this.#line + this.#decoder.end();
    this.#line = '';
    if (line !== '') this.#record(line);
  }
}
