// A packed folder: what is in it, what is not, and that the same files give the same artifact.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliDecompressSync, createGunzip, gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import type { PackedIndex } from '../../protocol/packed-folder.ts';
import { packFolder } from './static-folder.ts';

let work: string;
before(async () => void (work = await mkdtemp(join(tmpdir(), 'virga-pack-'))));
after(() => rm(work, { recursive: true, force: true }));

const TEXT = 'rain that evaporates before it reaches the ground\n'.repeat(100);

async function site(name: string): Promise<string> {
  const folder = join(work, name);
  const files = {
    'index.html': TEXT,
    'small.css': 'a{}',
    'photo.png': TEXT,
    'sub/app.js': TEXT,
    '.env': 'SECRET=1',
    '.git/config': 'secret',
    'sub/.htpasswd': 'secret',
    '.well-known/security.txt': 'Contact: x',
  };
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  await symlink('index.html', join(folder, 'inside'));
  await symlink('/etc/passwd', join(folder, 'outside'));
  return folder;
}

async function contents(archive: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const entries = createReadStream(archive).pipe(createGunzip()).pipe(extract());
  for await (const entry of entries) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found.set(entry.header.name, Buffer.concat(chunks));
  }
  return found;
}

test('files as they are, what gets smaller compressed, an index; nothing hidden and no links', async () => {
  const folder = await site('one');
  const packed = await packFolder('public', { folder, workFolder: work });
  const found = await contents(packed.file);
  assert.deepEqual([...found.keys()].toSorted(), [
    'br/index.html',
    'br/sub/app.js',
    'files/.well-known/security.txt',
    'files/index.html',
    'files/photo.png',
    'files/small.css',
    'files/sub/app.js',
    'gzip/index.html',
    'gzip/sub/app.js',
    'index.json',
  ]);
  assert.equal(brotliDecompressSync(found.get('br/index.html')!).toString(), TEXT);
  assert.equal(gunzipSync(found.get('gzip/sub/app.js')!).toString(), TEXT);
  const { files } = JSON.parse(found.get('index.json')!.toString()) as PackedIndex;
  assert.deepEqual(
    files.map(({ path, bytes }) => `${path} ${bytes}`),
    ['.well-known/security.txt 10', `index.html ${TEXT.length}`, `photo.png ${TEXT.length}`, 'small.css 3', `sub/app.js ${TEXT.length}`],
  );
  assert.equal(files[1]!.br, found.get('br/index.html')!.length);
  assert.equal(packed.warnings.length, 1);
  assert.match(packed.warnings[0]!, /symbolic links are not served: inside/);
});

test('the same files give the same artifact, wherever and whenever they were written', async () => {
  const [one, two] = [await site('two'), await site('three')];
  await utimes(join(two, 'index.html'), 1_000, 1_000);
  const first = await packFolder('public', { folder: one, workFolder: work });
  const second = await packFolder('dist', { folder: two, workFolder: work });
  assert.equal(first.sha256, second.sha256);
  await writeFile(join(two, 'small.css'), 'b{}');
  assert.notEqual((await packFolder('dist', { folder: two, workFolder: work })).sha256, first.sha256);
});
