// Unpacks a .zip, such as one that was made for AWS Lambda, into an empty folder. Invariant: nothing is written outside of
// it, and no more is unpacked than an artifact may hold, whatever the archive says of itself; executable files and links stay
// what they are. Used by as-it-is.ts.
import { createWriteStream } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import type { Entry, ZipFile } from 'yauzl';
import { VirgaError } from '../../protocol/errors.ts';
import { ARCHIVE_LIMITS } from './archive.ts';

const TYPE_MASK = 0o170_000;
const LINK = 0o120_000;
const LINK_BYTES_MAX = 4_096;

export async function unzip(file: string, shown: string, into: string): Promise<void> {
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(file, { lazyEntries: true });
    let files = 0;
    let bytes = 0;
    // yauzl refuses names that lead out of the folder, and streams that are longer than announced.
    for await (const entry of zip.eachEntry()) {
      files++;
      bytes += entry.uncompressedSize;
      if (bytes > ARCHIVE_LIMITS.unpackedBytesMax || files > ARCHIVE_LIMITS.filesMax) throw tooLarge(shown);
      await extract(zip, entry, into);
    }
  } catch (error) {
    if (error instanceof VirgaError) throw error;
    throw new VirgaError('build_failed', `${shown} cannot be unpacked as a zip archive: ${(error as Error).message}`, { cause: error });
  } finally {
    zip?.close();
  }
}

async function extract(zip: ZipFile, entry: Entry, into: string): Promise<void> {
  const target = join(into, entry.fileName);
  if (entry.fileName.endsWith('/')) return void (await mkdir(target, { recursive: true }));
  await mkdir(dirname(target), { recursive: true });
  const mode = entry.externalFileAttributes >>> 16;
  const stream = await zip.openReadStreamPromise(entry);
  if ((mode & TYPE_MASK) !== LINK)
    return pipeline(stream, createWriteStream(target, { flags: 'wx', mode: (mode & 0o111) === 0 ? 0o644 : 0o755 }));
  if (entry.uncompressedSize > LINK_BYTES_MAX) throw new Error(`the link ${entry.fileName} has ${entry.uncompressedSize} bytes`);
  await symlink(await text(stream), target);
}

function tooLarge(shown: string): VirgaError {
  const { unpackedBytesMax, filesMax } = ARCHIVE_LIMITS;
  return new VirgaError(
    'artifact_too_large',
    `${shown} holds more than ${filesMax} files or ${unpackedBytesMax} bytes, which is all that is allowed`,
  );
}
