// Writes a .zip as AWS Lambda takes it. Invariant: the same files give the same bytes (names sorted, one time, no owner), on whatever
// machine and in whatever time zone; executable files and links stay what they are. Used by export-lambda.ts.
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import type { ArtifactEntry } from '../build/archive.ts';

const FILE = 0o100_644;
const PROGRAM = 0o100_755;
const LINK = 0o120_777;

export async function writeZip(entries: readonly ArtifactEntry[], target: string): Promise<void> {
  const zip = new ZipFile();
  // DOS knows no zones: as local time it is the same bytes everywhere. At noon, since clocks skip an hour only at night.
  const mtime = new Date(1981, 0, 1, 12);
  const written = pipeline(zip.outputStream, createWriteStream(target));
  zip.on('error', (error: Error) => {
    (zip.outputStream as Readable).destroy(error);
  });
  for (const entry of entries.toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))) {
    const options = { mtime, forceDosTimestamp: true, mode: 'link' in entry ? LINK : entry.executable === true ? PROGRAM : FILE };
    if ('file' in entry) zip.addFile(entry.file, entry.path, options);
    else zip.addBuffer(Buffer.from('link' in entry ? entry.link : entry.content), entry.path, options);
  }
  zip.end();
  await written;
}
