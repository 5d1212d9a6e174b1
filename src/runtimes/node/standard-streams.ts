// process.stdout and process.stderr as streams whose lines become log records (info and error), attributed to the
// invocation that wrote them. Invariant: an unfinished line is kept, at most LOG_LINE_MAX long, until its newline, another
// writer, the end of its invocation or of the process. The real descriptors 1 and 2 are left to Node's own last words and
// to child processes. Installed by guest.ts; the streams are made at first use, since most functions never touch them.
import { StringDecoder } from 'node:string_decoder';
import type { Writable } from 'node:stream';
import { LOG_LINE_MAX } from '../../protocol/frames.ts';
import type { LogLevelName } from '../../protocol/frames.ts';
import { running } from './invocation.ts';
import type { LogRecords } from './log-records.ts';

export class StandardStreams {
  readonly #out: LineRecords;
  readonly #err: LineRecords;

  constructor(log: LogRecords) {
    this.#out = new LineRecords(log, 'info');
    this.#err = new LineRecords(log, 'error');
  }

  install(): void {
    for (const [name, lines, fd] of [['stdout', this.#out, 1] as const, ['stderr', this.#err, 2] as const]) {
      let stream: Writable | undefined;
      Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => (stream ??= makeStream(lines, fd)) });
    }
  }

  /** Ends unfinished lines: all, or those of one invocation. */
  endLines(stream?: number): void {
    this.#out.endLine(stream);
    this.#err.endLine(stream);
  }
}

class LineRecords {
  readonly #log: LogRecords;
  readonly #level: LogLevelName;
  readonly #decoder = new StringDecoder('utf8');
  #line = '';
  #owner = 0;

  constructor(log: LogRecords, level: LogLevelName) {
    this.#log = log;
    this.#level = level;
  }

  write(chunk: string | Buffer): void {
    const owner = running.getStore()?.stream ?? 0;
    if (owner !== this.#owner) this.endLine();
    this.#owner = owner;
    const text = this.#line + (typeof chunk === 'string' ? chunk : this.#decoder.write(chunk));
    let from = 0;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', from)) {
      this.#record(text.slice(from, at));
      from = at + 1;
    }
    for (; text.length - from > LOG_LINE_MAX; from += LOG_LINE_MAX) this.#record(text.slice(from, from + LOG_LINE_MAX));
    this.#line = text.slice(from);
  }

  endLine(owner?: number): void {
    if (this.#line === '' || (owner !== undefined && owner !== this.#owner)) return;
    const line = this.#line;
    this.#line = '';
    this.#record(line);
  }

  #record(line: string): void {
    this.#log.write(this.#owner, this.#level, line.endsWith('\r') ? line.slice(0, -1) : line);
  }
}

function makeStream(lines: LineRecords, fd: number): Writable {
  const { Writable } = process.getBuiltinModule('node:stream');
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      lines.write(chunk);
      done();
    },
    // As with Node's own: whoever ends or destroys it does not take it from the others.
    destroy(_error, done) {
      done(null);
    },
  });
  return Object.assign(stream, { fd, isTTY: false });
}
