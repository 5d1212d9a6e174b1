// permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so a connection holds no
// window (zlib's would be 44 KiB and more for each, for good), and one compressed frame serves all receivers.
// Invariant: what comes out is bounded before it is made. Pure but for zlib. Used by handshake.ts and peer.ts.
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { CloseCode } from './wire.ts';
import type { Breach } from './wire.ts';

/** Smaller messages grow or hardly shrink; larger ones would hold the edge up for a millisecond or more. */
const DEFLATE_BYTES_MIN = 512;
const DEFLATE_BYTES_MAX = 64 * 1024;
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const NAME = 'permessage-deflate';
const WINDOW_BITS_MAX = 15;
/** What zlib can do; 8 is in the RFC, but not there. */
const WINDOW_BITS_MIN = 9;

export interface Agreed {
  /** Of what we send. */
  windowBits: number;
  /** Value of Sec-WebSocket-Extensions. */
  answer: string;
}

/** The first offer that can be taken; undefined: none. */
export function agreeOnDeflate(offers: string | undefined): Agreed | undefined {
  for (const offer of (offers ?? '').split(',')) {
    const [name, ...params] = offer.split(';').map((part) => part.trim());
    if (name !== NAME) continue;
    const agreed = agreed1(params);
    if (agreed !== undefined) return agreed;
  }
  return undefined;
}

function agreed1(params: string[]): Agreed | undefined {
  const seen = new Set<string>();
  let windowBits = WINDOW_BITS_MAX;
  for (const param of params) {
    const [key = '', value] = param.split('=').map((part) => part.trim().replace(/^"(.*)"$/, '$1'));
    if (seen.has(key)) return undefined;
    seen.add(key);
    const bits = value !== undefined && /^(?:[89]|1[0-5])$/.test(value) ? Number(value) : undefined;
    switch (key) {
      case 'server_no_context_takeover':
      case 'client_no_context_takeover':
        if (value !== undefined) return undefined;
        break;
      case 'client_max_window_bits':
        // We can inflate whatever window the client uses.
        if (value !== undefined && bits === undefined) return undefined;
        break;
      case 'server_max_window_bits':
        if (bits === undefined || bits < WINDOW_BITS_MIN) return undefined;
        windowBits = bits;
        break;
      default:
        return undefined;
    }
  }
  const asked = windowBits === WINDOW_BITS_MAX ? '' : `; server_max_window_bits=${windowBits}`;
  return { windowBits, answer: `${NAME}; server_no_context_takeover; client_no_context_takeover${asked}` };
}

/** undefined: it goes as it is. */
export function deflated(payload: Uint8Array, windowBits: number): Buffer | undefined {
  if (payload.length < DEFLATE_BYTES_MIN || payload.length > DEFLATE_BYTES_MAX) return undefined;
  const whole = deflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH });
  const bytes = whole.subarray(0, whole.length - TAIL.length);
  return bytes.length < payload.length ? bytes : undefined;
}

export function inflated(payload: Buffer, bytesMax: number): Buffer | Breach {
  try {
    return inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: bytesMax });
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    return tooLarge
      ? { code: CloseCode.tooBig, reason: `more than ${bytesMax} bytes` }
      : { code: CloseCode.badData, reason: 'not deflate' };
  }
}
