// `crypto.DigestStream` of Workers: a WritableStream that hashes what is written to it. Invariant: its `digest` is settled by the
// end of the stream, one way or the other. Made at its first use by globals.ts.
import type { Hash } from 'node:crypto';

const NAMES: Record<string, string> = { 'SHA-1': 'sha1', 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512', MD5: 'md5' };

export function digestStream(): unknown {
  return class DigestStream extends globalThis.WritableStream<unknown> {
    readonly digest: Promise<ArrayBuffer>;
    #bytes = 0n;

    constructor(algorithm: string | { name: string }) {
      const name = (typeof algorithm === 'string' ? algorithm : algorithm.name).toUpperCase();
      const known = NAMES[name];
      if (known === undefined)
        throw new DOMException(`DigestStream knows ${Object.keys(NAMES).join(', ')}, and not ${name}`, 'NotSupportedError');
      const hash: Hash = process.getBuiltinModule('node:crypto').createHash(known);
      const { promise, resolve, reject } = Promise.withResolvers<ArrayBuffer>();
      // Nobody may be waiting for it.
      promise.catch(() => {});
      super({
        write: (chunk) => {
          const bytes =
            typeof chunk === 'string'
              ? Buffer.from(chunk)
              : ArrayBuffer.isView(chunk)
                ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
                : new Uint8Array(chunk as ArrayBuffer);
          this.#bytes += BigInt(bytes.length);
          hash.update(bytes);
        },
        close() {
          const bytes = hash.digest();
          resolve(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
        },
        abort: (reason) => reject(reason),
      });
      this.digest = promise;
    }

    get bytesWritten(): bigint {
      return this.#bytes;
    }
  };
}
