import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { ARCHIVE_LIMITS, writeArchive } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'virga-archive-'));
  writeFileSync(join(folder, 'big.bin'), Buffer.alloc(300_000, 'abc'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function entries(): ArtifactEntry[] {
  return [
    { path: 'lib/z.js', content: Buffer.from('z') },
    { path: 'index.mjs', content: Buffer.from('export default 1') },
    { path: 'big.bin', file: join(folder, 'big.bin'), bytes: 300_000, executable: true },
    { path: 'lib/so.1', link: 'z.js' },
  ];
}

test('the same files give the same bytes, in whatever order and at whatever time', async () => {
  const first = await writeArchive(entries(), join(folder, 'a.tar.gz'), { what: 'a' });
  utimesSync(join(folder, 'big.bin'), 1, 1);
  const second = await writeArchive(entries().toReversed(), join(folder, 'b.tar.gz'), { what: 'b' });
  assert.deepEqual(first, second);
  const bytes = readFileSync(join(folder, 'a.tar.gz'));
  assert.equal(first.sha256, createHash('sha256').update(bytes).digest('hex'));
  assert.deepEqual([first.bytes, first.files, first.unpackedBytes], [bytes.length, 4, 300_017]);
});

test('what is unpacked is what went in, without owners and times', async () => {
  const file = join(folder, 'c.tar.gz');
  await writeArchive(entries(), file, { what: 'c' });
  const found: unknown[] = [];
  const reader = extract();
  createReadStream(file).pipe(createGunzip()).pipe(reader);
  for await (const entry of reader) {
    const { name, type, mode, mtime, uid, gid, size, linkname } = entry.header;
    found.push([name, type, mode, mtime?.getTime(), uid, gid, type === 'symlink' ? linkname : size]);
    entry.resume();
  }
  assert.deepEqual(found, [
    ['big.bin', 'file', 0o755, 0, 0, 0, 300_000],
    ['index.mjs', 'file', 0o644, 0, 0, 0, 16],
    ['lib/so.1', 'symlink', 0o644, 0, 0, 0, 'z.js'],
    ['lib/z.js', 'file', 0o644, 0, 0, 0, 1],
  ]);
});

test('what is too large fails, names its largest files and leaves nothing behind', async () => {
  const target = join(folder, 'd.tar.gz');
  const options = { what: "function 'resize'" };
  await assert.rejects(writeArchive(entries(), target, { ...options, limits: { ...ARCHIVE_LIMITS, unpackedBytesMax: 100_000 } }), {
    code: 'artifact_too_large',
    message:
      /^function 'resize' has 293 KiB unpacked; at most 98 KiB are allowed\. Its largest files:\n\s+293 KiB {2}big\.bin\n\s+16 B {2}index\.mjs/,
  });
  await assert.rejects(writeArchive(entries(), target, { ...options, limits: { ...ARCHIVE_LIMITS, bytesMax: 50 } }), {
    code: 'artifact_too_large',
    message: /more than 50 B as an archive/,
  });
  await assert.rejects(writeArchive(entries(), target, { ...options, limits: { ...ARCHIVE_LIMITS, filesMax: 3 } }), {
    code: 'artifact_too_large',
    message: /4 files; at most 3/,
  });
  assert.equal(existsSync(target), false);
});

test('a file that changes while it is read fails the build', async () => {
  const lying: ArtifactEntry[] = [{ path: 'big.bin', file: join(folder, 'big.bin'), bytes: 299_999 }];
  await assert.rejects(writeArchive(lying, join(folder, 'e.tar.gz'), { what: 'e' }), {
    message: /big\.bin changed while it was read|size/i,
  });
  await assert.rejects(writeArchive([{ path: 'x', file: join(folder, 'gone'), bytes: 1 }], join(folder, 'f.tar.gz'), { what: 'f' }), {
    code: 'build_failed',
    message: /x changed while it was read/,
  });
});
