// The blobs port: immutable bytes under a content hash (artifacts). Implementations: disk.ts.
// Invariant: a blob is either whole and of the right hash, or absent; a crash while writing leaves nothing visible.
import type { Readable } from 'node:stream';

export interface Blobs {
  /**
   * Stores the bytes of `source` under their sha256 (64 hex digits). Storing what is there already succeeds.
   * Fails with VirgaError: `artifact_invalid` (another hash), `artifact_too_large` (over maxBytes), `disk_full`.
   */
  put(sha256: string, source: Readable, options: { maxBytes: number }): Promise<{ bytes: number; existed: boolean }>;
  has(sha256: string): Promise<boolean>;
  /** Fails with VirgaError `artifact_not_found`. */
  read(sha256: string): Promise<Readable>;
  delete(sha256: string): Promise<void>;
  /** Every blob, in no order. */
  list(): AsyncIterable<{ sha256: string; bytes: number }>;
}
