// A body in chunks (RFC 9112, section 7.1), taken apart as it arrives: what is left of each read is the data alone, moved
// together in the memory where it lies. Invariant: never reads beyond the body; what follows the last chunk (trailers) is read
// and dropped. One for each response. Used by connection.ts.
import { BadResponse } from '../../failure.ts';

const LINE_MAX = 8 * 1024;
/** More trailers than that are no trailers. */
const TRAILERS_MAX = 64 * 1024;

export class ChunkedBody {
  #state: 'size' | 'data' | 'data end' | 'trailers' | 'done' = 'size';
  #left = 0;
  /** The line that is being read: sizes and trailers. */
  #line = '';
  #trailerBytes = 0;

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Takes the bytes from `from`; the data is what it answers, at the same place. `rest` is where it stopped. */
  read(bytes: Buffer, from: number): { data: Buffer; rest: number } {
    let to = from;
    let at = from;
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const size = Math.min(this.#left, bytes.length - at);
        if (to !== at) bytes.copyWithin(to, at, at + size);
        to += size;
        at += size;
        this.#left -= size;
        if (this.#left === 0) this.#state = 'data end';
        continue;
      }
      const newline = bytes.indexOf(10, at);
      const end = newline === -1 ? bytes.length : newline;
      this.#line += bytes.toString('latin1', at, end);
      if (this.#line.length > LINE_MAX) throw new BadResponse('its chunks have no sizes');
      at = end + 1;
      if (newline === -1) break;
      const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
      this.#line = '';
      this.#onLine(line);
    }
    return { data: bytes.subarray(from, to), rest: Math.min(at, bytes.length) };
  }

  #onLine(line: string): void {
    if (this.#state === 'size') {
      const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
      if (size === undefined) throw new BadResponse(`its chunk size '${line.slice(0, 40)}' is not a number`);
      this.#left = Number.parseInt(size, 16);
      this.#state = this.#left === 0 ? 'trailers' : 'data';
    } else if (this.#state === 'data end') {
      if (line !== '') throw new BadResponse('its chunk is longer than its size');
      this.#state = 'size';
    } else if (line === '') this.#state = 'done';
    else if ((this.#trailerBytes += line.length) > TRAILERS_MAX) throw new BadResponse('its trailers do not end');
  }
}
