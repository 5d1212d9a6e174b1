// What a program writes to one of its standard streams, as log records: one for each line. Invariant: an unfinished line is kept,
// at most LOG_LINE_MAX long, until its newline or until `end`. Used by program.ts, for stdout and stderr.
import { StringDecoder } from 'node:string_decoder';
import { LOG_LINE_MAX } from '../../../../protocol/frames.ts';

export class OutputLines {
  readonly #record: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';

  constructor(record: (line: string) => void) {
    this.#record = record;
  }

  write(chunk: Buffer): void {
    const text = this.#line + this.#decoder.write(chunk);
    let from = 0;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      this.#say(text.slice(from, at));
      from = at + 1;
    }
    for (; text.length - from > LOG_LINE_MAX; from += LOG_LINE_MAX) this.#say(text.slice(from, from + LOG_LINE_MAX));
    this.#line = text.slice(from);
  }

  /** The line is as long as it gets. */
  end(): void {
    if (this.#line === '') return;
    const line = this.#line;
    this.#line = '';
    this.#say(line);
  }

  /** A carriage return within a line is how runtimes of AWS Lambda keep the lines of one record together. */
  #say(line: string): void {
    const whole = line.endsWith('\r') ? line.slice(0, -1) : line;
    this.#record(whole.includes('\r') ? whole.replaceAll('\r', '\n') : whole);
  }
}
