// Where a program's stdout goes. Over HTTP its first lines are the head of the answer, as CGI has it (cgi-head.ts), and what
// follows is the body, which streams; of an event it is the result. Invariant: nothing leaves before the program waits, ends,
// or has written STAGED_MAX bytes, so that a program that fails early fails with an error and not with half an answer.
// Written by run.ts, ended by program.ts.
import { isUtf8 } from 'node:buffer';
import type { ResponseMeta } from '../../../../protocol/frames.ts';
import type { Answer } from '../../answer.ts';
import { BadResponse } from '../../failure.ts';
import { parseHead } from './cgi-head.ts';

export interface ProgramOutput {
  /** A promise: wait for it before writing more. The chunks are the program's memory. */
  write(chunks: readonly Buffer[]): Promise<void> | undefined;
  /** The program waits. */
  flush(): Promise<void> | undefined;
  /** It has ended well. */
  end(): Promise<void>;
}

const STAGED_MAX = 64 * 1024;
const HEAD_BYTES_MAX = 64 * 1024;

export class HttpOutput implements ProgramOutput {
  readonly #answer: Answer;
  readonly #bodiless: boolean;
  #staged: Buffer[] = [];
  #stagedBytes = 0;
  #head: ResponseMeta | undefined;
  #sent = false;

  constructor(answer: Answer, method: string) {
    this.#answer = answer;
    this.#bodiless = method === 'HEAD';
  }

  write(chunks: readonly Buffer[]): Promise<void> | undefined {
    for (const chunk of chunks) {
      if (chunk.length === 0) continue;
      this.#staged.push(Buffer.from(chunk));
      this.#stagedBytes += chunk.length;
    }
    if (this.#head === undefined) this.#findHead();
    return this.#stagedBytes >= STAGED_MAX ? this.flush() : undefined;
  }

  flush(): Promise<void> | undefined {
    if (this.#head === undefined) return undefined;
    const { length } = this.#staged;
    if (!this.#sent) {
      this.#sent = true;
      if (this.#isEmpty(this.#head)) this.#answer.empty(this.#head);
      else this.#answer.head(this.#head);
    }
    return length === 0 ? undefined : this.#answer.write(this.#takeStaged());
  }

  async end(): Promise<void> {
    if (this.#head === undefined) this.#findHead(true);
    const head = this.#head;
    if (head === undefined) throw headMissing(this.#stagedBytes === 0);
    if (this.#sent) {
      await this.flush();
      return this.#answer.end();
    }
    if (this.#isEmpty(head)) return this.#answer.empty(head);
    return this.#answer.whole(head, this.#takeStaged());
  }

  #isEmpty({ status }: ResponseMeta): boolean {
    return this.#bodiless || status === 204 || status === 304;
  }

  /** `complete`: nothing follows. */
  #findHead(complete = false): void {
    const all = Buffer.concat(this.#staged, this.#stagedBytes);
    const parsed = parseHead(all, complete);
    if (parsed === undefined) {
      if (all.length > HEAD_BYTES_MAX)
        throw new BadResponse(`its stdout has no blank line, which ends the headers, in its first ${HEAD_BYTES_MAX} bytes`);
      this.#staged = [all];
      return;
    }
    this.#head = parsed.meta;
    const rest = all.subarray(parsed.bytes);
    this.#staged = rest.length === 0 ? [] : [rest];
    this.#stagedBytes = rest.length;
  }

  #takeStaged(): Buffer {
    const all = this.#staged.length === 1 ? this.#staged[0]! : Buffer.concat(this.#staged, this.#stagedBytes);
    this.#staged = [];
    this.#stagedBytes = 0;
    return all;
  }
}

/** The result of an event: JSON where it is JSON, else text, else bytes. */
export class EventOutput implements ProgramOutput {
  readonly #answer: Answer;
  readonly #chunks: Buffer[] = [];

  constructor(answer: Answer) {
    this.#answer = answer;
  }

  write(chunks: readonly Buffer[]): undefined {
    for (const chunk of chunks) this.#chunks.push(Buffer.from(chunk));
  }

  flush(): undefined {}

  end(): Promise<void> {
    const all = Buffer.concat(this.#chunks);
    const body = all.length === 0 ? Buffer.from('null') : all;
    return this.#answer.whole({ status: 200, headers: ['content-type', typeOf(body)] }, body);
  }
}

function typeOf(body: Buffer): string {
  if (!isUtf8(body)) return 'application/octet-stream';
  try {
    JSON.parse(body.toString());
    return 'application/json';
  } catch {
    return 'text/plain;charset=UTF-8';
  }
}

function headMissing(silent: boolean): BadResponse {
  const what = silent ? 'it ended without a word on stdout' : 'its stdout has no blank line, which ends the headers';
  return new BadResponse(`${what}; print e.g. "Content-Type: text/plain" and a blank line first`);
}
