// One WebSocket on its socket, from the answered handshake on: messages in, frames out, pings, the closing handshake.
//
//   held ──release──▶ open ──we close──▶ closing ──its Close, or 2 s──▶ closed
//                       └──its Close, a breach, the socket's end────────▶ closed
//
// Invariant: whoever owns it hears `messageCame` only while open and not held, and `closed` exactly once; what waits here to be
// written is at most `sendBytesMax`, or the peer is closed. An idle one holds no buffer, no timer and no closure of its own:
// the listeners are shared by all. Made and owned by connection.ts.
import { isUtf8 } from 'node:buffer';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import { inflated } from './deflate.ts';
import { CloseCode, Opcode, WireReader, copyOf, encodeClose, encodeWire, isBreach, maySayCode } from './wire.ts';
import type { Breach, WireFrame } from './wire.ts';

export interface PeerOwner {
  messageCame(data: Buffer, isBinary: boolean): void;
  /** `code` as a browser would report it: 1005 for a Close without one, 1006 for a connection that was lost. */
  closed(code: number, reason: string): void;
  /** More or less is held in this process for the peer, in bytes. */
  heldChanged(by: number): void;
}

const PEER = Symbol('peer');
type PeerSocket = Duplex & { [PEER]?: Peer };

/** A client has this long to answer a Close, or to end its side of the socket, ms. */
const CLOSE_WITHIN_MS = 2_000;
/** Read ahead while nobody takes messages. */
const AHEAD_BYTES = 16 * 1024;
/** So many fragments are joined: one of few bytes costs a hundred by itself. */
const FRAGMENTS_MAX = 64;

export class Peer {
  readonly #socket: PeerSocket;
  readonly #owner: PeerOwner;
  readonly #messageBytesMax: number;
  readonly #sendBytesMax: number;
  /** 0: messages are not compressed. */
  readonly windowBits: number;
  readonly #reader: WireReader;
  #state: 'held' | 'open' | 'closing' | 'closed' = 'held';
  #halted = true;
  #ended = false;
  #fragments: Buffer[] | undefined;
  #fragmentBytes = 0;
  #opcode = 0;
  #compressed = false;
  #held = 0;
  /** Written, and not taken by the kernel yet. */
  #sending = 0;
  #code: number = CloseCode.abnormal;
  #reason = '';
  /** Something came since the last ping, or there was none. */
  heard = true;

  constructor(
    socket: Duplex,
    owner: PeerOwner,
    options: { first: Buffer; messageBytesMax: number; sendBytesMax: number; windowBits: number },
  ) {
    this.#socket = socket;
    this.#owner = owner;
    this.#messageBytesMax = options.messageBytesMax;
    this.#sendBytesMax = options.sendBytesMax;
    this.windowBits = options.windowBits;
    this.#reader = new WireReader(options.windowBits > 0);
    this.#reader.push(options.first);
    (socket as PeerSocket)[PEER] = this;
    socket.on('data', onData);
    socket.on('drain', onDrain);
    socket.on('end', onEnd);
    socket.on('error', ignore); // 'close' follows.
    socket.on('close', onClose);
    (socket as Socket).setNoDelay?.(true);
  }

  /** Frames may go and come from now on. */
  begin(): void {
    if (this.#state !== 'held') return;
    this.#state = 'open';
    this.proceed();
  }

  /** It becomes none: whoever refuses the handshake has the socket for himself again. */
  release(): void {
    this.#state = 'closed';
    this.#reader.clear();
    this.#account();
    const socket = this.#socket;
    socket.off('data', onData);
    socket.off('drain', onDrain);
    socket.off('end', onEnd);
    socket.off('close', onClose);
    delete socket[PEER];
  }

  /** The answer to the handshake. */
  write(head: string): void {
    this.#socket.write(head, 'latin1');
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Nothing is read while nobody takes it: its silence says nothing. */
  get halted(): boolean {
    return this.#halted;
  }

  /** No more messages for now. Called from messageCame, too. */
  halt(): void {
    this.#halted = true;
  }

  proceed(): void {
    if (!this.#halted || this.#state === 'closed') return;
    this.#halted = false;
    this.#read();
  }

  /** A frame of encodeWire(). False: it is not open, or too slow for what it is sent. */
  send(frame: Buffer): boolean {
    if (this.#state !== 'open') return false;
    const waiting = this.#socket.writableLength;
    if (waiting > 0 && waiting + frame.length > this.#sendBytesMax) {
      this.close(CloseCode.policy, 'too slow');
      return false;
    }
    this.#write(frame);
    return true;
  }

  ping(): void {
    this.heard = false;
    if (this.#state === 'open') this.#write(PING);
  }

  close(code: number, reason: string): void {
    if (this.#state === 'held') return this.terminate();
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#code = code;
    this.#reason = reason;
    this.#dropFragments();
    this.#write(encodeClose(code, reason));
    // Its Close may stand behind what was not read yet.
    this.#halted = false;
    this.#socket.resume();
    this.#endWithin();
    this.#read();
  }

  /** At once, without a word. */
  terminate(): void {
    this.#socket.destroy();
  }

  onBytes(chunk: Buffer): void {
    this.heard = true;
    if (this.#state === 'closed') return;
    this.#reader.push(chunk);
    if (!this.#halted) this.#read();
    else this.#rest();
  }

  onDrain(): void {
    if (this.#sending === 0) return;
    this.#owner.heldChanged(-this.#sending);
    this.#sending = 0;
  }

  onEnd(): void {
    this.#ended = true;
    if (!this.#halted) this.terminate();
  }

  onClose(): void {
    this.#state = 'closed';
    this.#reader.clear();
    this.#dropFragments();
    this.#account();
    this.onDrain();
    this.#owner.closed(this.#code, this.#reason);
  }

  #read(): void {
    while (!this.#halted && this.#state !== 'closed') {
      const found = this.#reader.next(Math.max(0, this.#messageBytesMax - this.#fragmentBytes));
      if (found === undefined) break;
      const breach = isBreach(found) ? found : this.#take(found);
      if (breach === undefined) continue;
      this.#fail(breach);
      break;
    }
    this.#rest();
    if (!this.#halted && this.#ended) this.terminate();
  }

  /** Nothing more of what was read can be used now. */
  #rest(): void {
    this.#reader.compact();
    this.#account();
    if (this.#halted && this.#reader.heldBytes >= AHEAD_BYTES) this.#socket.pause();
    else if (this.#state !== 'closed') this.#socket.resume();
  }

  #take({ opcode, fin, compressed, payload }: WireFrame): Breach | undefined {
    switch (opcode) {
      case Opcode.ping:
        // One that is too slow for messages gets no answers either.
        if (this.#state === 'open' && this.#socket.writableLength < this.#sendBytesMax) this.#write(encodeWire(Opcode.pong, payload));
        return undefined;
      case Opcode.pong:
        return undefined;
      case Opcode.close:
        return this.#closeCame(payload);
      case Opcode.continuation:
        if (this.#opcode === 0) return { code: CloseCode.protocol, reason: 'nothing to continue' };
        break;
      default:
        if (this.#opcode !== 0) return { code: CloseCode.protocol, reason: 'a message within a message' };
        this.#opcode = opcode;
        this.#compressed = compressed;
    }
    if (fin) return this.#complete(payload);
    if (payload.length > 0) {
      this.#fragments ??= [];
      if (this.#fragments.length >= FRAGMENTS_MAX) this.#fragments = [Buffer.concat(this.#fragments)];
      this.#fragments.push(copyOf(payload));
      this.#fragmentBytes += payload.length;
    }
    return undefined;
  }

  #complete(last: Buffer): Breach | undefined {
    const whole = this.#fragments === undefined ? last : Buffer.concat([...this.#fragments, last]);
    const isBinary = this.#opcode === Opcode.binary;
    const message = this.#compressed ? inflated(whole, this.#messageBytesMax) : whole;
    this.#dropFragments();
    if (!Buffer.isBuffer(message)) return message;
    if (!isBinary && !isUtf8(message)) return { code: CloseCode.badData, reason: 'not UTF-8' };
    if (this.#state === 'open') this.#owner.messageCame(message, isBinary);
    return undefined;
  }

  #closeCame(payload: Buffer): Breach | undefined {
    const code = payload.length === 0 ? CloseCode.noStatus : payload.length === 1 ? 0 : payload.readUInt16BE(0);
    if (payload.length > 0 && !maySayCode(code)) return { code: CloseCode.protocol, reason: 'no such code' };
    const reason = payload.subarray(2);
    if (!isUtf8(reason)) return { code: CloseCode.badData, reason: 'not UTF-8' };
    if (this.#state === 'open') {
      this.#code = code;
      this.#reason = reason.toString();
      this.#write(encodeClose(code, ''));
      this.#endWithin();
    }
    this.#finish();
    return undefined;
  }

  /** The section's word is "fail the connection": a Close for who listens, and nothing is read any more. */
  #fail({ code, reason }: Breach): void {
    if (this.#state === 'open') {
      this.#code = code;
      this.#reason = reason;
      this.#write(encodeClose(code, reason));
      this.#endWithin();
    }
    this.#finish();
  }

  /** Both have said Close: the server ends the socket first (section 7.1.1); what still comes is dropped. */
  #finish(): void {
    this.#state = 'closed';
    this.#reader.clear();
    this.#dropFragments();
    this.#account();
    this.#socket.end();
    this.#socket.resume();
  }

  #endWithin(): void {
    setTimeout(destroy, CLOSE_WITHIN_MS, this.#socket).unref();
  }

  #write(frame: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded || this.#socket.write(frame)) return;
    this.#sending += frame.length;
    this.#owner.heldChanged(frame.length);
  }

  #dropFragments(): void {
    this.#fragments = undefined;
    this.#fragmentBytes = 0;
    this.#opcode = 0;
  }

  #account(): void {
    const held = this.#reader.heldBytes + this.#fragmentBytes;
    if (held === this.#held) return;
    const by = held - this.#held;
    this.#held = held;
    this.#owner.heldChanged(by);
  }
}

const PING = encodeWire(Opcode.ping, Buffer.alloc(0));

function onData(this: PeerSocket, chunk: Buffer): void {
  this[PEER]!.onBytes(chunk);
}

function onDrain(this: PeerSocket): void {
  this[PEER]!.onDrain();
}

function onEnd(this: PeerSocket): void {
  this[PEER]!.onEnd();
}

function onClose(this: PeerSocket): void {
  this[PEER]!.onClose();
}

function destroy(socket: Duplex): void {
  socket.destroy();
}

function ignore(): void {}
