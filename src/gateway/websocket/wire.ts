// Frames of RFC 6455 as a server sees them: cut out of the bytes of a client, checked and unmasked; and made, unmasked, for it.
// Invariant: nothing of a frame is kept before its header has been found lawful and its length within the limit; what is kept of
// a chunk does not keep the rest of that chunk alive. Used by peer.ts.
//
//   0               1               2 …              (section 5.2)
//   |F|R R R|opcode |M| length 7    | length 16 or 64 | mask 32 | payload …

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Codes of section 7.4.1 and of the registry that it began. */
export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocol: 1002,
  noStatus: 1005,
  abnormal: 1006,
  badData: 1007,
  policy: 1008,
  tooBig: 1009,
  failed: 1011,
  tryAgain: 1013,
} as const;

const FIN = 0x80;
const RSV1 = 0x40;
const RSV23 = 0x30;
const MASK = 0x80;
export const CONTROL_BYTES_MAX = 125;

export interface WireFrame {
  opcode: number;
  fin: boolean;
  /** RSV1: the message that it begins is compressed (RFC 7692). */
  compressed: boolean;
  /** Unmasked; a view of what was pushed. */
  payload: Buffer;
}

/** A breach of the protocol, with the code to close with. */
export interface Breach {
  code: number;
  reason: string;
}

export class WireReader {
  /** Compression was agreed on. */
  readonly #deflate: boolean;
  #rest: Buffer[] | undefined;
  #restBytes = 0;
  /** How much there has to be before it is worth looking again. */
  #needed = 2;

  constructor(deflate: boolean) {
    this.#deflate = deflate;
  }

  /** Bytes that wait here. */
  get heldBytes(): number {
    return this.#restBytes;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    (this.#rest ??= []).push(chunk);
    this.#restBytes += chunk.length;
  }

  /** The next whole frame; undefined: it is not all there. `payloadMax`: for a frame of data. */
  next(payloadMax: number): WireFrame | Breach | undefined {
    if (this.#rest === undefined || this.#restBytes < this.#needed) return undefined;
    const data = this.#rest.length === 1 ? this.#rest[0]! : Buffer.concat(this.#rest, this.#restBytes);
    const [first, second] = [data[0]!, data[1]!];
    const opcode = first & 0x0f;
    const breach = breachIn(first, second, this.#deflate);
    if (breach !== undefined) return { code: CloseCode.protocol, reason: breach };
    const short = second & 0x7f;
    const headerBytes = short < 126 ? 6 : short === 126 ? 8 : 14;
    if (data.length < headerBytes) return this.#wait(data, headerBytes);
    let length = short;
    if (short === 126) length = data.readUInt16BE(2);
    else if (short === 127) length = data.readUInt32BE(2) > 0x1f_ffff ? Infinity : data.readUInt32BE(2) * 2 ** 32 + data.readUInt32BE(6);
    // Section 5.2: the minimal number of bytes must be used.
    if ((short === 126 && length < 126) || (short === 127 && length < 65_536))
      return { code: CloseCode.protocol, reason: 'length not minimal' };
    if (opcode < 8 && length > payloadMax) return { code: CloseCode.tooBig, reason: `more than ${payloadMax} bytes` };
    const end = headerBytes + length;
    if (data.length < end) return this.#wait(data, end);
    const payload = data.subarray(headerBytes, end);
    unmask(payload, data, headerBytes - 4);
    this.#keep(end === data.length ? undefined : data.subarray(end));
    return { opcode, fin: (first & FIN) !== 0, compressed: (first & RSV1) !== 0, payload };
  }

  /** Before a pause: what is left of a large chunk is copied out of it. */
  compact(): void {
    const [only] = this.#rest ?? [];
    if (this.#rest?.length === 1 && only!.length < only!.buffer.byteLength / 2) this.#rest[0] = copyOf(only!);
  }

  clear(): void {
    this.#keep(undefined);
  }

  #wait(data: Buffer, needed: number): undefined {
    this.#rest = [data];
    this.#needed = needed;
    return undefined;
  }

  #keep(rest: Buffer | undefined): void {
    this.#rest = rest === undefined ? undefined : [rest];
    this.#restBytes = rest?.length ?? 0;
    this.#needed = 2;
  }
}

export function isBreach(found: WireFrame | Breach): found is Breach {
  return 'code' in found;
}

/** In a memory of its own, neither of a chunk nor of Node's pool. */
export function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

function breachIn(first: number, second: number, deflate: boolean): string | undefined {
  const opcode = first & 0x0f;
  const control = opcode >= 8;
  if ((first & RSV23) !== 0) return 'reserved bits';
  if ((first & RSV1) !== 0 && (!deflate || control || opcode === Opcode.continuation)) return 'reserved bit';
  if ((opcode > Opcode.binary && !control) || opcode > Opcode.pong) return `opcode ${opcode}`;
  if ((second & MASK) === 0) return 'not masked';
  if (control && (first & FIN) === 0) return 'fragmented control frame';
  if (control && (second & 0x7f) > CONTROL_BYTES_MAX) return 'control frame too long';
  return undefined;
}

function unmask(payload: Buffer, data: Buffer, maskAt: number): void {
  const mask = [data[maskAt]!, data[maskAt + 1]!, data[maskAt + 2]!, data[maskAt + 3]!] as const;
  for (let i = 0; i < payload.length; i++) payload[i]! ^= mask[i & 3]!;
}

/** A whole frame of a server in one Buffer, which may be written to any number of clients. */
export function encodeWire(opcode: number, payload: Uint8Array, compressed = false): Buffer {
  const { length } = payload;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = FIN | (compressed ? RSV1 : 0) | opcode;
  if (headerBytes === 2) frame[1] = length;
  else if (headerBytes === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(0, 2);
    frame.writeUInt32BE(length, 6);
  }
  frame.set(payload, headerBytes);
  return frame;
}

export function encodeClose(code: number, reason: string): Buffer {
  if (code === CloseCode.noStatus) return encodeWire(Opcode.close, Buffer.alloc(0));
  const text = cutReason(reason);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2);
  return encodeWire(Opcode.close, payload);
}

/** At most what fits a control frame, whole characters. */
function cutReason(reason: string): Buffer {
  const bytes = Buffer.from(reason);
  if (bytes.length <= CONTROL_BYTES_MAX - 2) return bytes;
  let end = CONTROL_BYTES_MAX - 2;
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Whether a peer may say it in a Close frame (section 7.4). */
export function maySayCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999);
}
