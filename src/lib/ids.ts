// Ids that sort by time: a prefix and 26 characters of Crockford base32 (48 bits of Unix ms, 80 bits of randomness,
// counted up within one ms so that ids of one process never go backwards). Called on the hot path: no allocation but the string.
import { randomFillSync } from 'node:crypto';

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
/** Two digits at a time. */
const PAIRS = Array.from({ length: 1024 }, (_, n) => DIGITS.charAt(n >> 5) + DIGITS.charAt(n & 31));

let lastMs = 0;
let timePart = '';
let random = 0; // the low 40 bits, counted up
let randomPart = ''; // the high 40 bits, fixed within one ms
const entropy = Buffer.alloc(4096);
let entropyAt = entropy.length;

export type IdPrefix = 'inv' | 'log' | 'sbx' | 'req' | 'tok' | 'ins' | 'con' | 'evt' | 'msg' | 'rec' | 'run' | 'rdr';

/** e.g. `newId('inv')` → `inv_01k9…` (30 characters). */
export function newId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    timePart = base32(nowMs, 10);
    randomPart = base32(random40(), 8);
    random = random40() / 2;
  } else {
    // Steps of a random size keep the next id hard to guess.
    random += 1 + (randomByte() << 8) + randomByte();
  }
  return `${prefix}_${timePart}${randomPart}${base32(Math.floor(random), 8)}`;
}

/** The same for the same time and digest, of which 10 bytes count. */
export function stableId(prefix: IdPrefix, atMs: number, digest: Buffer): string {
  return `${prefix}_${base32(Math.max(0, atMs), 10)}${base32(digest.readUIntBE(0, 5), 8)}${base32(digest.readUIntBE(5, 5), 8)}`;
}

/** Sorts by time to the ms, and its other 80 bits are fresh: who knows one cannot guess the next. For ids that give a right. */
export function newSecretId(prefix: IdPrefix, nowMs: number = Date.now()): string {
  return `${prefix}_${base32(nowMs, 10)}${base32(random40(), 8)}${base32(random40(), 8)}`;
}

/** When an id was made, Unix ms; undefined: it is none of ours. */
export function timeOfId(id: string): number | undefined {
  const digits = /^[a-z]+_([0-9a-hjkmnp-tv-z]{10})/.exec(id)?.[1];
  return digits === undefined ? undefined : Array.from(digits).reduce((ms, digit) => ms * 32 + DIGITS.indexOf(digit), 0);
}

/** `digits` is even. */
function base32(value: number, digits: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < digits; i += 2) {
    const above = Math.floor(rest / 1024);
    text = PAIRS[rest - above * 1024]! + text;
    rest = above;
  }
  return text;
}

function randomByte(): number {
  if (entropyAt >= entropy.length) {
    randomFillSync(entropy);
    entropyAt = 0;
  }
  return entropy[entropyAt++]!;
}

function random40(): number {
  return randomByte() * 2 ** 32 + randomByte() * 2 ** 24 + randomByte() * 2 ** 16 + randomByte() * 256 + randomByte();
}
