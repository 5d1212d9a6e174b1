// Packs a folder of files that the gateway serves (`static` of a route) into an artifact: `files/` as they are, `br/` and `gzip/`
// what is smaller compressed, and `index.json`, from which the edge knows every file without looking at the disk.
// Compressed here, once for a deployment, and not at the edge, where it would take from calls. Brotli at 9: 1 MB of JavaScript takes
// 58 ms and becomes 19 %; at 10 it takes 530 ms, at 11 1,160 ms, and becomes 17 %; gzip at 9 takes 35 ms, 21 %.
// Invariant: the same files give the same artifact; no file whose name begins with a dot and no symbolic link is in it.
// Called by deployment.ts; the edge's counterpart is gateway/static/file-index.ts.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { VirgaError } from '../../protocol/errors.ts';
import type { PackedFile, PackedIndex } from '../../protocol/packed-folder.ts';
import { PACKED_INDEX } from '../../protocol/packed-folder.ts';
import { ARCHIVE_LIMITS, writeArchive } from './archive.ts';
import type { Archive, ArtifactEntry } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';

export interface PackedFolder extends Archive {
  /** As it stands in the manifest. */
  name: string;
  /** The archive. */
  file: string;
  /** Absolute. */
  folder: string;
  warnings: string[];
}

const AT_ONCE = 4;
/** Smaller ones fit into the packet that carries the head. */
const COMPRESSED_BYTES_MIN = 860;
/** Larger ones are not held in memory; what is that large is seldom text. */
const COMPRESSED_BYTES_MAX = 16 * 1024 * 1024;
/** What the gain has to be at least, for the work of the client to be worth it. */
const GAIN_MIN = 0.05;
const COMPRESSIBLE = new Set(
  '.html .htm .css .js .mjs .cjs .json .map .svg .xml .txt .md .csv .wasm .webmanifest .ico .ttf .otf .eot .rss .atom .yaml .yml .geojson .jsonld .xhtml'.split(
    ' ',
  ),
);
const brotli = promisify(brotliCompress);
const zip = promisify(gzip);

export async function packFolder(
  name: string,
  options: { folder: string; workFolder: string; signal?: AbortSignal },
): Promise<PackedFolder> {
  const { folder, workFolder, signal } = options;
  const found = await filesOfFolder(folder, {
    under: 'files',
    filesMax: Math.floor(ARCHIVE_LIMITS.filesMax / 3),
    skip: (path) => path.split('/').some((part, index) => part.startsWith('.') && !(index === 0 && part === '.well-known')),
    linksOutside: 'skip',
  });
  const files = found.filter((entry): entry is ArtifactEntry & { file: string; bytes: number } => 'file' in entry);
  const links = found.filter((entry) => 'link' in entry).map(({ path }) => path.slice('files/'.length));
  const entries: ArtifactEntry[] = [];
  const index: PackedIndex = { files: [] };
  const waiting = files.values();
  const work = async (): Promise<void> => {
    for (const entry of waiting) {
      signal?.throwIfAborted();
      const { packed, variants } = await packFile(entry);
      entries.push({ path: entry.path, file: entry.file, bytes: entry.bytes }, ...variants);
      index.files.push(packed);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  index.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  entries.push({ path: PACKED_INDEX, content: Buffer.from(JSON.stringify(index)) });
  const file = join(workFolder, `folder-${createHash('sha256').update(name).digest('hex').slice(0, 16)}.tar.gz`);
  const archive = await writeArchive(entries, file, { what: `the folder '${name}'`, ...(signal === undefined ? {} : { signal }) });
  const warnings =
    links.length === 0 ? [] : [`${name}: symbolic links are not served: ${links.slice(0, 5).join(', ')}${links.length > 5 ? ', …' : ''}`];
  return { ...archive, name, file, folder, warnings };
}

async function packFile(entry: { path: string; file: string; bytes: number }): Promise<{ packed: PackedFile; variants: ArtifactEntry[] }> {
  const path = entry.path.slice('files/'.length);
  if (path.toWellFormed() !== path || path.includes('\\'))
    throw new VirgaError('build_failed', `the name of ${entry.file} cannot stand in the path of a URL; rename it`);
  const packed: PackedFile = { path, bytes: entry.bytes, sha256: '' };
  const fits = COMPRESSIBLE.has(extname(path).toLowerCase()) && entry.bytes >= COMPRESSED_BYTES_MIN && entry.bytes <= COMPRESSED_BYTES_MAX;
  if (!fits) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(entry.file)) hash.update(chunk as Buffer);
    return { packed: { ...packed, sha256: hash.digest('hex') }, variants: [] };
  }
  const content = await readFile(entry.file);
  packed.sha256 = createHash('sha256').update(content).digest('hex');
  const [br, gz] = await Promise.all([
    brotli(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
    zip(content, { level: 9 }),
  ]);
  const variants: ArtifactEntry[] = [];
  for (const [coding, compressed] of [
    ['br', br],
    ['gzip', gz],
  ] as const) {
    if (compressed.length > content.length * (1 - GAIN_MIN)) continue;
    packed[coding] = compressed.length;
    variants.push({ path: `${coding}/${path}`, content: compressed });
  }
  return { packed, variants };
}
