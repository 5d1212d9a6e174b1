// A message to be sent, to one or to ten thousand: its frame is made once for all who take it in the same form.
// Used by hub.ts, connection.ts.
import { deflated } from './deflate.ts';
import type { Peer } from './peer.ts';
import { Opcode, encodeWire } from './wire.ts';

export class Outgoing {
  readonly #data: Uint8Array;
  readonly #opcode: number;
  /** By bits of the window; 0: not compressed. */
  readonly #frames: (Buffer | undefined)[] = [];

  constructor(data: Uint8Array, isBinary: boolean) {
    this.#data = data;
    this.#opcode = isBinary ? Opcode.binary : Opcode.text;
  }

  frameFor({ windowBits }: Peer): Buffer {
    return (this.#frames[windowBits] ??= this.#encode(windowBits));
  }

  #encode(windowBits: number): Buffer {
    const small = windowBits === 0 ? undefined : deflated(this.#data, windowBits);
    if (small !== undefined) return encodeWire(this.#opcode, small, true);
    return (this.#frames[0] ??= encodeWire(this.#opcode, this.#data));
  }
}
