// Layers of a function: folders and archives whose content it finds under /opt, as AWS Lambda does it. In the artifact they are
// below `opt/`. Invariants: of two files of one name the later layer's counts, and the function's own files are not
// touched; nothing of the author's machine that is no code gets in. Called by build.ts; node.ts asks for packages in them.
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { sourceKind } from '../manifest/source.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';
import { unzip } from './zip.ts';

const SKIPPED_NAMES = new Set(['.git', '.hg', '.virga', '.DS_Store', 'virga.yaml', '__pycache__']);
const SKIPPED_FILES = /^\.env(?:\.|$)/;
/** Where AWS Lambda looks for npm packages in a layer. */
const PACKAGES = 'nodejs';

export interface Layers {
  /** In order, archives unpacked. */
  folders: string[];
  /** What is in each of them, below `opt/`. */
  contents: ArtifactEntry[][];
  /** The same, together. */
  files: ArtifactEntry[];
}

export async function layersOf(fn: ManifestFunction, place: { manifest: Manifest; workFolder: string }): Promise<Layers> {
  const folders = await layerFolders(fn, place);
  const contents: ArtifactEntry[][] = [];
  for (const folder of folders) contents.push(await layerEntries(folder));
  return { folders, contents, files: [...new Map(contents.flat().map((file) => [file.path, file])).values()] };
}

async function layerFolders(fn: ManifestFunction, { manifest, workFolder }: { manifest: Manifest; workFolder: string }): Promise<string[]> {
  const folders: string[] = [];
  for (const layer of fn.layers) {
    const path = join(manifest.folder, layer);
    if (sourceKind(manifest.folder, layer) !== 'zip') folders.push(path);
    else {
      const folder = await mkdtemp(join(workFolder, 'layer-'));
      await unzip(path, layer, folder);
      folders.push(folder);
    }
  }
  return folders;
}

function layerEntries(folder: string): Promise<ArtifactEntry[]> {
  return filesOfFolder(folder, {
    under: 'opt',
    filesMax: ARCHIVE_LIMITS.filesMax,
    skip: (path, isFolder) => SKIPPED_NAMES.has(basename(path)) || (!isFolder && SKIPPED_FILES.test(basename(path))),
    linksOutside: 'refuse',
  });
}

/** A file as the code names it, `/opt/nodejs/shared.js`, on this machine; the last layer that has it counts. */
export function fileInLayers(path: string, folders: readonly string[]): string | undefined {
  const inside = path.slice('/opt/'.length);
  return folders
    .map((folder) => join(folder, inside))
    .findLast((file) => existsSync(file) || ['.js', '.mjs', '.cjs', '.json'].some((end) => existsSync(file + end)));
}

/** Where to resolve a package from that only a layer has: a place beside the layer's node_modules. */
export function layerWithPackage(name: string, folders: readonly string[]): string | undefined {
  const places = folders.map((folder) => join(folder, PACKAGES)).filter((folder) => existsSync(join(folder, 'node_modules', name)));
  return places.at(-1);
}
