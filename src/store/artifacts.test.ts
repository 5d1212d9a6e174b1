// Unpacking artifacts: what must work, and every way in which an archive may try to leave its folder or fill the disk.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { ArtifactFolders } from './artifacts.ts';
import { DiskBlobs } from './blobs/disk.ts';

type Item = Parameters<ReturnType<typeof pack>['entry']>[0] & { content?: string | Buffer };

class Place implements AsyncDisposable {
  readonly folder: string;
  readonly blobs: DiskBlobs;
  readonly folders: ArtifactFolders;

  static async make(limits = { artifactUnpackedBytesMax: 10_000, artifactFilesMax: 20 }): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), 'virga-artifacts-')), limits);
  }

  constructor(folder: string, limits: { artifactUnpackedBytesMax: number; artifactFilesMax: number }) {
    this.folder = folder;
    this.blobs = new DiskBlobs(folder);
    this.folders = new ArtifactFolders({
      folder: join(folder, 'artifacts'),
      compiledFolder: join(folder, 'compiled'),
      blobs: this.blobs,
      limits,
    });
  }

  async store(bytes: Buffer): Promise<string> {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await this.blobs.put(sha256, Readable.from([bytes]), { maxBytes: 1e9 });
    return sha256;
  }

  async storeTar(items: Item[]): Promise<string> {
    const archive = pack();
    for (const { content, ...header } of items) archive.entry(header, content ?? '');
    archive.finalize();
    return this.store(gzipSync(await buffer(archive)));
  }

  /** Unpacks what must be refused, and looks that nothing is left of it. */
  async refuses(items: Item[], expected: { code: string; message: RegExp }): Promise<void> {
    const sha256 = await this.storeTar(items);
    await assert.rejects(this.folders.ensure(sha256), expected);
    assert.deepEqual(await readdir(join(this.folder, 'artifacts')), []);
    assert.equal(existsSync(join(this.folder, 'outside')), false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

test('files, folders and links appear with plain modes, whatever the archive says', async () => {
  await using place = await Place.make();
  const sha256 = await place.storeTar([
    { name: 'index.mjs', content: 'export {}', mode: 0o4600, uid: 5 },
    { name: 'bin/', type: 'directory', mode: 0o700 },
    { name: 'bin/tool', content: '#!/bin/sh', mode: 0o100 },
    { name: 'deep/er/file.txt', content: 'x' },
    { name: 'link', type: 'symlink', linkname: 'deep/er/file.txt' },
    { name: 'deep/back', type: 'symlink', linkname: '../bin' },
  ]);
  const folder = await place.folders.ensure(sha256);
  assert.equal(await readFile(join(folder, 'index.mjs'), 'utf8'), 'export {}');
  const mode = async (name: string): Promise<string> => ((await lstat(join(folder, name))).mode & 0o7777).toString(8);
  assert.deepEqual(await Promise.all(['', 'index.mjs', 'bin', 'bin/tool', 'deep/er'].map(mode)), ['755', '644', '755', '755', '755']);
  assert.equal(await readlink(join(folder, 'deep/back')), '../bin');
});

test('an artifact is unpacked once, however many ask at the same time', async () => {
  await using place = await Place.make();
  const sha256 = await place.storeTar([{ name: 'a', content: 'a' }]);
  const folders = await Promise.all(Array.from({ length: 10 }, () => place.folders.ensure(sha256)));
  assert.equal(new Set(folders).size, 1);
  assert.deepEqual(await readdir(join(place.folder, 'artifacts')), [sha256]);
  await place.blobs.delete(sha256);
  assert.equal(await place.folders.ensure(sha256), folders[0]);
});

test('two processes may unpack the same artifact at once', async () => {
  await using place = await Place.make();
  const other = new ArtifactFolders({
    folder: join(place.folder, 'artifacts'),
    compiledFolder: join(place.folder, 'compiled'),
    blobs: place.blobs,
    limits: { artifactUnpackedBytesMax: 1e4, artifactFilesMax: 20 },
  });
  const sha256 = await place.storeTar(Array.from({ length: 15 }, (_, i) => ({ name: `f${i}`, content: 'x' })));
  await Promise.all([place.folders.ensure(sha256), other.ensure(sha256)]);
  assert.deepEqual(await readdir(join(place.folder, 'artifacts')), [sha256]);
});

test('an entry outside of the folder is refused', async () => {
  await using place = await Place.make();
  for (const name of ['../outside', 'a/../../outside', '/../outside', '..']) {
    await place.refuses([{ name, content: 'x' }], { code: 'artifact_invalid', message: /outside of the artifact/ });
  }
});

test('a link outside of the folder is refused, also through other links', async () => {
  await using place = await Place.make();
  const link = (name: string, linkname: string): Item => ({ name, type: 'symlink', linkname });
  const refusal = { code: 'artifact_invalid', message: /outside of the artifact|not in the artifact/ };
  await place.refuses([link('a', '/etc/passwd')], refusal);
  await place.refuses([link('a', '../../outside')], refusal);
  await place.refuses([link('deep/er/up', '../..'), link('out', 'deep/er/up/..')], refusal);
  await place.refuses([link('a', 'b'), link('b', 'a')], refusal);
});

test('an entry below a link or a file is refused', async () => {
  await using place = await Place.make();
  await place.refuses(
    [
      { name: 'd/', type: 'directory' },
      { name: 'a', type: 'symlink', linkname: 'd' },
      { name: 'a/x', content: 'x' },
    ],
    { code: 'artifact_invalid', message: /'a'.*entries below it/ },
  );
  await place.refuses(
    [
      { name: 'a', content: 'x' },
      { name: 'a/x', content: 'x' },
    ],
    { code: 'artifact_invalid', message: /'a'.*entries below it/ },
  );
});

test('devices, hard links and duplicates are refused', async () => {
  await using place = await Place.make();
  await place.refuses([{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }], {
    code: 'artifact_invalid',
    message: /character-device/,
  });
  await place.refuses([{ name: 'hard', type: 'link', linkname: '/etc/passwd' }], { code: 'artifact_invalid', message: /'hard'/ });
  await place.refuses(
    [
      { name: 'a', content: '1' },
      { name: './a', content: '2' },
    ],
    { code: 'artifact_invalid', message: /twice/ },
  );
});

test('too many bytes or files are refused before they are written', async () => {
  await using place = await Place.make();
  await place.refuses([{ name: 'big', content: Buffer.alloc(10_001) }], { code: 'artifact_too_large', message: /10000 bytes/ });
  await place.refuses([{ name: 'bomb', content: Buffer.alloc(50_000_000) }], { code: 'artifact_too_large', message: /10000 bytes/ });
  await place.refuses(
    Array.from({ length: 21 }, (_, i) => ({ name: `f${i}`, content: '' })),
    { code: 'artifact_too_large', message: /20 files/ },
  );
});

test('bytes that are no archive are refused', async () => {
  await using place = await Place.make();
  for (const bytes of [Buffer.from('no gzip'), gzipSync(Buffer.alloc(2_000, 'x')), gzipSync(Buffer.from('x')).subarray(0, 12)]) {
    await assert.rejects(place.folders.ensure(await place.store(bytes)), { code: 'artifact_invalid' });
  }
  await assert.rejects(place.folders.ensure('0'.repeat(64)), { code: 'artifact_not_found' });
  await assert.rejects(place.folders.ensure('../x'), { code: 'artifact_invalid' });
});

test('an artifact is removed with what was compiled of it', async () => {
  await using place = await Place.make();
  const sha256 = 'c'.repeat(64);
  const compiled = join(place.folder, 'compiled', sha256, 'nodejs26-0123456789abcdef');
  await mkdir(compiled, { recursive: true });
  await place.folders.remove(sha256);
  assert.equal(existsSync(join(place.folder, 'compiled', sha256)), false);
});
