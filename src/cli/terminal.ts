// Where a command says things. Invariant: stdout carries the result and nothing else (with --json one JSON document);
// notes, progress and errors go to stderr. Colours and moving lines only where a person looks: on a terminal, and never
// with NO_COLOR. Made by command-line.ts, used by every command.
import { styleText } from 'node:util';
import type { InspectColor } from 'node:util';

/** The two streams of the process, or of a test. */
export interface TerminalStreams {
  out: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  err: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
}

export type Style = InspectColor | readonly InspectColor[];

const QUIET_MS = 1_000;
const FRAME_MS = 120;
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export class Terminal {
  readonly #streams: TerminalStreams;
  /** Set by command-line.ts once the options are known. */
  json = false;

  constructor(streams: TerminalStreams) {
    this.#streams = streams;
  }

  get outIsTerminal(): boolean {
    return this.#streams.out.isTTY === true;
  }

  get errIsTerminal(): boolean {
    return this.#streams.err.isTTY === true;
  }

  get columns(): number {
    return this.#streams.out.columns ?? 100;
  }

  /** The result: with --json the value, else the text. */
  result(value: unknown, text: () => string): void {
    if (this.json) this.out(JSON.stringify(value, null, this.outIsTerminal ? 2 : undefined));
    else {
      const shown = text();
      if (shown !== '') this.out(shown);
    }
  }

  /** A line on stdout. */
  out(text: string): void {
    this.#streams.out.write(`${text}\n`);
  }

  /** Bytes on stdout, as they are. */
  outBytes(bytes: Uint8Array | string): void {
    this.#streams.out.write(bytes);
  }

  /** A line for people on stderr; not with --json. */
  note(text: string): void {
    if (!this.json) this.error(text);
  }

  /** A line on stderr. */
  error(text: string): void {
    this.#streams.err.write(`${text}\n`);
  }

  /** Coloured for stdout, where that is a terminal. */
  paint(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#streams.out });
  }

  /** Coloured for stderr, where that is a terminal. */
  paintError(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#streams.err });
  }

  /** Shows what is going on once it takes longer than a second; `update` changes the text. Dispose it at the end. */
  progress(text: string): Progress {
    return new Progress(text, this.json ? undefined : this.#streams.err);
  }
}

export class Progress implements Disposable {
  #phase: string;
  #detail = '';
  readonly #stream: TerminalStreams['err'] | undefined;
  readonly #startedAt = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;
  #drawn = false;
  #said = '';

  constructor(text: string, stream: TerminalStreams['err'] | undefined) {
    this.#phase = text;
    this.#stream = stream;
    if (stream === undefined) return;
    this.#timer = setTimeout(() => {
      this.#draw();
      if (stream.isTTY) this.#timer = setInterval(() => this.#draw(), FRAME_MS).unref();
    }, QUIET_MS).unref();
  }

  /** `detail` are the moving figures of a phase; into a file or a pipe only the phase is said, once. */
  update(phase: string, detail = ''): void {
    this.#phase = phase;
    this.#detail = detail;
    if (this.#stream !== undefined && !this.#stream.isTTY && this.#said !== '') this.#draw();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    if (this.#drawn) this.#stream?.write('\r\x1b[2K');
  }

  #draw(): void {
    const stream = this.#stream!;
    if (!stream.isTTY) {
      if (this.#phase !== this.#said) stream.write(`${this.#phase} …\n`);
      this.#said = this.#phase;
      return;
    }
    this.#drawn = true;
    const seconds = Math.floor((performance.now() - this.#startedAt) / 1_000);
    const line = `${SPINNER[this.#frame++ % SPINNER.length]} ${this.#phase}${this.#detail === '' ? '' : ` ${this.#detail}`} (${seconds} s)`;
    stream.write(`\r\x1b[2K${line.slice(0, (stream.columns ?? 80) - 1)}`);
  }
}
