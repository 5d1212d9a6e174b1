// Disk blobs: the port's suite, and what is particular to files.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { blobsConformance } from './conformance.ts';
import { DiskBlobs } from './disk.ts';

class TemporaryDiskBlobs extends DiskBlobs implements AsyncDisposable {
  readonly folder: string;

  constructor(folder: string) {
    super(folder);
    this.folder = folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function make(): Promise<TemporaryDiskBlobs> {
  return new TemporaryDiskBlobs(await mkdtemp(join(tmpdir(), 'virga-blobs-')));
}

blobsConformance('disk', make);

test('a refused blob leaves no file aside', async () => {
  await using blobs = await make();
  await assert.rejects(blobs.put('0'.repeat(64), Readable.from([Buffer.from('x')]), { maxBytes: 10 }));
  assert.deepEqual(await readdir(join(blobs.folder, 'blobs', 'incoming')), []);
});
