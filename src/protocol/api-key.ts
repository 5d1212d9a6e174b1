// The form of API keys: `vk_<id>_<secret><checksum>`, e.g. vk_4f8h2m6qj0_… The id finds the key, the checksum tells a mistyped
// key from one that is not known, and lets scanners of repositories find leaked ones. Invariant: both are told by the key alone. Made by control/api-keys.ts, read by gateway/auth/keys.ts.
import { createHash, randomBytes } from 'node:crypto';

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const ID_DIGITS = 10;
/** 180 bits. */
const SECRET_DIGITS = 36;
const CHECKSUM_DIGITS = 6;
const KEY = /^vk_([0-9a-z]{10})_[0-9a-z]{42}$/;

/** undefined: it does not have the form of a key. */
export function idOfKey(text: string): string | undefined {
  return KEY.exec(text)?.[1];
}

/** False: it was not copied well. Only worth asking of a key that is not known, since it costs a hash. */
export function isWellCopied(text: string): boolean {
  return text.endsWith(checksumOf(text.slice(0, -CHECKSUM_DIGITS)));
}

export function newKeyId(): string {
  return digits(randomBytes(ID_DIGITS));
}

/** Of a new key, or of the next secret of one. */
export function newKey(id: string): string {
  const secret = `vk_${id}_${digits(randomBytes(SECRET_DIGITS))}`;
  return secret + checksumOf(secret);
}

function checksumOf(text: string): string {
  return digits(createHash('sha256').update(text).digest().subarray(0, CHECKSUM_DIGITS));
}

/** Five bits of each byte. */
function digits(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) text += DIGITS.charAt(byte & 31);
  return text;
}
