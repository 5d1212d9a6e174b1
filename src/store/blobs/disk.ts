// Blobs as files: `<data folder>/blobs/<first two digits>/<sha256>`. Written aside while their hash is computed, synced, renamed.
// Invariant: a file under its final name is whole and has that hash; what a crash leaves lies in `blobs/incoming`, named
// by its writer's pid (abandoned.ts removes it). Callers: profiles (as the Blobs port), server/launcher.ts.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { VirgaError } from '../../protocol/errors.ts';
import { SHA256_PATTERN } from '../../protocol/settings.ts';
import type { Blobs } from './blobs.ts';

export class DiskBlobs implements Blobs {
  readonly #folder: string;
  #writes = 0;

  constructor(dataFolder: string) {
    this.#folder = join(dataFolder, 'blobs');
  }

  async put(sha256: string, source: Readable, options: { maxBytes: number }): Promise<{ bytes: number; existed: boolean }> {
    const target = this.#path(sha256);
    const incoming = join(this.#folder, 'incoming');
    const aside = join(incoming, `${process.pid}-${this.#writes++}-${sha256.slice(0, 12)}`);
    let file: FileHandle | undefined;
    try {
      await mkdir(incoming, { recursive: true });
      file = await open(aside, 'wx', 0o600);
      const bytes = await copy(sha256, source, file, options.maxBytes);
      await file.sync();
      await file.close();
      file = undefined;
      const existed = await this.has(sha256);
      if (existed) {
        await unlink(aside);
      } else {
        const folder = join(this.#folder, sha256.slice(0, 2));
        await mkdir(folder, { recursive: true });
        await rename(aside, target);
        await syncFolder(folder);
      }
      return { bytes, existed };
    } catch (error) {
      source.destroy();
      await file?.close().catch(() => {});
      await rm(aside, { force: true });
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC' || (error as NodeJS.ErrnoException).code === 'EDQUOT') {
        throw new VirgaError('disk_full', `the disk with ${this.#folder} is full; nothing was stored. Free some space.`, { cause: error });
      }
      throw error;
    }
  }

  async has(sha256: string): Promise<boolean> {
    return (await this.#stat(sha256)) !== null;
  }

  async read(sha256: string): Promise<Readable> {
    if ((await this.#stat(sha256)) === null) throw new VirgaError('artifact_not_found', `there is no artifact '${sha256}'`);
    return createReadStream(this.#path(sha256));
  }

  async delete(sha256: string): Promise<void> {
    await rm(this.#path(sha256), { force: true });
  }

  async *list(): AsyncIterable<{ sha256: string; bytes: number }> {
    for (const shard of await readdir(this.#folder).catch(() => [])) {
      if (!/^[0-9a-f]{2}$/.test(shard)) continue;
      for (const sha256 of await readdir(join(this.#folder, shard))) {
        const bytes = SHA256_PATTERN.test(sha256) ? await this.#stat(sha256) : null;
        if (bytes !== null) yield { sha256, bytes };
      }
    }
  }

  #path(sha256: string): string {
    // The name becomes a path: nothing but a hash may.
    if (!SHA256_PATTERN.test(sha256)) throw new VirgaError('artifact_invalid', `'${sha256}' is not a sha256: 64 lower-case hex digits`);
    return join(this.#folder, sha256.slice(0, 2), sha256);
  }

  async #stat(sha256: string): Promise<number | null> {
    try {
      return (await stat(this.#path(sha256))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }
}

async function copy(sha256: string, source: Readable, file: FileHandle, maxBytes: number): Promise<number> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of source as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes)
      throw new VirgaError('artifact_too_large', `the artifact has more than ${maxBytes} bytes, the most that this server takes`);
    hash.update(chunk);
    for (let at = 0; at < chunk.byteLength;) at += (await file.write(chunk, at)).bytesWritten;
  }
  const actual = hash.digest('hex');
  if (actual !== sha256)
    throw new VirgaError('artifact_invalid', `the ${bytes} bytes received have the sha256 ${actual}, not the promised ${sha256}`);
  return bytes;
}

/** Makes the rename itself durable. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
