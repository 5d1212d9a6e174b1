// What an artifact of a served folder holds: `files/<path>`, `br/<path>`, `gzip/<path>`, and this index of them as JSON.
// Written by cli/build/static-folder.ts, read by gateway/static/file-index.ts.

export const PACKED_INDEX = 'index.json';

export interface PackedFile {
  /** Relative to the folder, with forward slashes, e.g. `assets/app.js`. */
  path: string;
  bytes: number;
  sha256: string;
  /** Bytes of what is precompressed, where that is smaller. */
  br?: number;
  gzip?: number;
}

export interface PackedIndex {
  /** Sorted by path. */
  files: PackedFile[];
}
