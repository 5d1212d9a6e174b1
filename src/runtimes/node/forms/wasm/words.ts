// The environment and the arguments of a run, as WASI hands them out: strings with a NUL at the end of each, in one piece.
// Invariant: what a program does not ask for is not made, and a variable of the call goes before one of the function.
// Made by program.ts, read by program-functions.ts.
import type { Told } from './cgi-request.ts';

export interface Strings {
  bytes: Buffer;
  /** Where each begins. */
  offsets: readonly number[];
}

export class CallWords {
  readonly #own: Record<string, string>;
  readonly #tell: () => Told;
  #told: Told | undefined;
  #args: Strings | undefined;
  #environment: Strings | undefined;

  /** `own`: the function's variables. `tell`: what of the call is to be told. */
  constructor(own: Record<string, string>, tell: () => Told) {
    this.#own = own;
    this.#tell = tell;
  }

  get args(): Strings {
    this.#told ??= this.#tell();
    return (this.#args ??= joined(this.#told.args));
  }

  get environment(): Strings {
    if (this.#environment === undefined) {
      this.#told ??= this.#tell();
      const all = { ...this.#own, ...this.#told.variables };
      this.#environment = joined(Object.keys(all).map((name) => `${name}=${all[name]!}`));
    }
    return this.#environment;
  }
}

function joined(strings: readonly string[]): Strings {
  const offsets: number[] = [];
  let text = '';
  let at = 0;
  for (const string of strings) {
    offsets.push(at);
    // A NUL would end it early, and the next would be a word that nobody has said.
    const one = string.includes('\0') ? string.replaceAll('\0', '') : string;
    text += `${one}\0`;
    at += Buffer.byteLength(one) + 1;
  }
  return { bytes: Buffer.from(text), offsets };
}
