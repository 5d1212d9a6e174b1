// What is in a file of an artifact, as text, where an export has to look into it. Invariant: of a large file only the beginning is
// read. Used by adapter-files.ts and function-code.ts.
import { closeSync, openSync, readSync } from 'node:fs';
import type { ArtifactEntry } from '../build/archive.ts';

const BYTES_MAX = 4 * 1024 * 1024;

export function contentOf(entry: ArtifactEntry): string {
  if ('link' in entry) return '';
  if ('content' in entry) return Buffer.from(entry.content.subarray(0, BYTES_MAX)).toString();
  const file = openSync(entry.file, 'r');
  try {
    const bytes = Buffer.alloc(Math.min(entry.bytes, BYTES_MAX));
    return bytes.toString('utf8', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}
