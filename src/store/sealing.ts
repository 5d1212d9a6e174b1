// What is kept secret at rest, such as private keys of certificates and secrets of projects: sealed with AES-256-GCM under
// the node's key, bound to the place where it is kept, so that a sealed value that is moved elsewhere does not open.
// Invariant: the node's key leaves this process nowhere, and no message holds a part of what is sealed.
// Layout: version (1 byte) | id of the key (4) | nonce (12) | tag (16) | ciphertext. Callers: server/edge.ts, control.ts.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { link, open, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const VERSION = 1;
const KEY_BYTES = 32;
const ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + ID_BYTES + NONCE_BYTES + TAG_BYTES;

/** A sealed value that does not open, or a key that cannot be used; worded for the operator. */
export class SealingError extends Error {
  override readonly name = 'SealingError';
}

export class Sealing {
  readonly #key: Buffer;
  readonly #id: Buffer;

  /** `key`: the node's, 32 bytes. */
  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new SealingError(`a key has ${KEY_BYTES} bytes, this one ${key.length}`);
    this.#key = Buffer.from(hkdfSync('sha256', key, '', 'virga sealing 1', KEY_BYTES));
    this.#id = createHash('sha256').update(this.#key).digest().subarray(0, ID_BYTES);
  }

  /** `context`: where it is kept, e.g. `certificate:example.com`; the same must be said to open it. */
  seal(plain: Buffer, context: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const head = Buffer.concat([Buffer.from([VERSION]), this.#id, nonce]);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(aad(head, context));
    const text = Buffer.concat([cipher.update(plain), cipher.final()]);
    return Buffer.concat([head, cipher.getAuthTag(), text]);
  }

  /** Throws SealingError. */
  unseal(sealed: Buffer, context: string): Buffer {
    if (sealed.length < HEAD_BYTES || sealed[0] !== VERSION)
      throw new SealingError(`what is kept for '${context}' is no sealed value of this version of Virga`);
    if (!sealed.subarray(1, 1 + ID_BYTES).equals(this.#id)) {
      throw new SealingError(
        `what is kept for '${context}' was sealed with another key: give that one (VIRGA_SECRET_KEY, or the file secret-key of the data folder it was made in)`,
      );
    }
    const head = sealed.subarray(0, HEAD_BYTES - TAG_BYTES);
    const nonce = head.subarray(1 + ID_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(aad(head, context));
    decipher.setAuthTag(sealed.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES)), decipher.final()]);
    } catch {
      throw new SealingError(`what is kept for '${context}' was changed, or belongs elsewhere`);
    }
  }
}

function aad(head: Buffer, context: string): Buffer {
  return Buffer.concat([head, Buffer.from(context)]);
}

/**
 * The node's key: `given` (VIRGA_SECRET_KEY, base64 of 32 bytes) or the file `secret-key` of the data folder, made at the
 * first start. Whole or absent: of several processes that make it at once one wins, and all get that one.
 */
export async function loadNodeKey(dataFolder: string, given: string | null = null): Promise<Buffer> {
  if (given !== null) return keyOf(given, 'VIRGA_SECRET_KEY');
  const file = join(dataFolder, 'secret-key');
  const found = await readKey(file);
  if (found !== undefined) return found;
  const fresh = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const handle = await open(fresh, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(KEY_BYTES).toString('base64')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await link(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await unlink(fresh);
  }
  return (await readKey(file))!;
}

async function readKey(file: string): Promise<Buffer | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) throw new SealingError(`${file} can be read by others than its owner; \`chmod 600\` it`);
  return keyOf(text, file);
}

function keyOf(text: string, source: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== KEY_BYTES) throw new SealingError(`${source} is no key: it is to be the base64 of ${KEY_BYTES} bytes`);
  return key;
}
