// The host's way out to one guest: frames of one round of the event loop leave in one write, straight to the channel's
// descriptor; only what the kernel does not take at once goes through the stream, which waits for room.
// Invariant: bytes leave whole and in the order they were given, and never to a descriptor that is not the channel's: it is
// looked up at each write, and a channel that is closed has none. Owned by instance.ts.
//
// All writers of the process share one setImmediate: it runs right after the sockets of this round were read, so that calls
// which arrived together leave together and none waits for another round. Through the stream (cork, write, uncork) a call at
// 32 connections cost 1.5 µs more.
import { writeSync, writevSync } from 'node:fs';
import type { Duplex } from 'node:stream';

/** So many do not wait for the rest of the round: the guest begins on them while this process reads further requests. */
const PIECES_EAGER = 8;

const due: FrameWriter[] = [];

export class FrameWriter {
  readonly #channel: Duplex;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #due = false;

  constructor(channel: Duplex) {
    this.#channel = channel;
  }

  private static flushDue(this: void): void {
    // None is added meanwhile: writing calls nobody.
    for (const writer of due) {
      writer.#due = false;
      writer.flush();
    }
    due.length = 0;
  }

  /** A frame may come in pieces (header, payload), given in order; they are not to be changed afterwards. */
  send(piece: Buffer): void {
    if (!this.#due) {
      this.#due = true;
      if (due.push(this) === 1) setImmediate(FrameWriter.flushDue);
    }
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#pieces.length >= PIECES_EAGER) this.flush();
  }

  flush(): void {
    const pieces = this.#pieces;
    const bytes = this.#bytes;
    if (bytes === 0) return;
    this.#pieces = [];
    this.#bytes = 0;
    const channel = this.#channel;
    if (channel.destroyed) return;
    const written = channel.writableLength > 0 ? 0 : this.#writeNow(pieces);
    if (written === bytes) return;
    const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, bytes);
    channel.write(all.subarray(written));
  }

  /** What the kernel takes at once, in bytes. */
  #writeNow(pieces: Buffer[]): number {
    // The stream has no public name for its descriptor; where there is none (a pair of streams in a test), it writes itself.
    const fd = (Reflect.get(this.#channel, '_handle') as { fd?: unknown } | null | undefined)?.fd;
    if (typeof fd !== 'number' || fd < 0) return 0;
    try {
      return pieces.length === 1 ? writeSync(fd, pieces[0]!) : writevSync(fd, pieces);
    } catch {
      // Full, or broken: the stream waits for room, or hears that the peer is gone.
      return 0;
    }
  }
}
