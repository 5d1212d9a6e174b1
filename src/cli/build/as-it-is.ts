// Takes a function's code as it is, without a build: a folder, a .zip (as it was uploaded to another cloud), or one file that no
// build of ours is for (a program, a WebAssembly module). Invariants: nothing of the author's machine that is no code gets in
// (.env, .git, virga.yaml); a handler that names a file which is not there fails here, not at the first call. Called by build.ts.
import { mkdtemp, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { isAsItIs, isProgram, sourceKind } from '../manifest/source.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';
import { includedFiles, staticPart } from './include.ts';
import { appHandler, checkAzureApp, ownTexts, packagesAbove } from './node-app.ts';
import type { BuiltFunction } from './node.ts';
import { programFile, programPackages } from './program.ts';
import { checkProgram } from './wasm.ts';
import type { Target } from './packages.ts';
import { checkWorker } from './worker-check.ts';
import { unzip } from './zip.ts';

const SKIPPED_NAMES = new Set(['.git', '.hg', '.virga', '.DS_Store', 'virga.yaml', '__pycache__', '.venv', 'export-lambda']);
/** Secrets of this machine: Azure keeps those of a developer in local.settings.json, Cloudflare in .dev.vars. */
const SKIPPED_FILES = /^\.(?:env|dev\.vars)(?:\.|$)|^local\.settings\.json$/;
const NAMES_SHOWN = 12;
const BOOTSTRAP_OF_LAYER = 'opt/bootstrap';
const EXTENSIONS = { nodejs: ['.js', '.mjs', '.cjs'], python: ['.py', '/__init__.py'] };

export async function buildAsItIs(
  fn: ManifestFunction,
  { manifest, workFolder, target, layers }: { manifest: Manifest; workFolder: string; target: Target; layers: readonly ArtifactEntry[] },
): Promise<BuiltFunction> {
  const source = join(manifest.folder, fn.source);
  if (fn.settings.runtime === 'wasm') await checkProgram(source, fn);
  const own = await ownEntries(fn, { manifest, workFolder, source });
  const kind = sourceKind(manifest.folder, fn.source);
  if (isProgram(fn.settings.runtime)) own.push(...(await programPackages(fn, { source, kind, own, target })));
  const isApp = fn.settings.runtime.startsWith('nodejs') && (fn.settings.form === 'azure' || fn.settings.form === 'google');
  if (isApp && kind === 'folder') own.push(...(await packagesAbove(source, own, target)).entries);
  if (fn.settings.form === 'azure') await checkAzureApp(fn, own);
  const worker = fn.settings.form === 'workers' ? checkWorker(fn, { manifest, sources: await ownTexts(own) }) : undefined;
  const included = await includedFiles(manifest.folder, fn.include);
  const entries = [...new Map([...own, ...included].map((entry) => [entry.path, entry])).values()];
  return {
    entries,
    // A layer may bring the program that is started.
    handler: isApp
      ? await appHandler(fn, entries)
      : isProgram(fn.settings.runtime)
        ? await programFile(fn, isAsItIs(kind) ? undefined : fileOf(fn), entries)
        : handlerOf(fn, [...layers, ...entries]),
    sources: [source, ...(worker?.sources ?? []), ...fn.include.map((glob) => join(manifest.folder, staticPart(glob)))],
    ...(worker === undefined ? {} : { warnings: worker.warnings }),
  };
}

async function ownEntries(
  fn: ManifestFunction,
  { manifest, workFolder, source }: { manifest: Manifest; workFolder: string; source: string },
): Promise<ArtifactEntry[]> {
  const kind = sourceKind(manifest.folder, fn.source);
  if (kind !== 'folder' && kind !== 'zip') {
    // A program is what will be started: an author on a machine without such modes cannot set one.
    const program = kind === 'other' || fn.settings.runtime === 'provided';
    return [{ path: fileOf(fn), file: source, bytes: (await stat(source)).size, executable: program }];
  }
  let folder = source;
  if (kind === 'zip') {
    folder = await mkdtemp(join(workFolder, 'unpacked-'));
    await unzip(source, fn.source, folder);
  }
  return filesOfFolder(folder, {
    under: '',
    filesMax: ARCHIVE_LIMITS.filesMax,
    skip: (path, isFolder) => kind === 'folder' && (SKIPPED_NAMES.has(basename(path)) || (!isFolder && SKIPPED_FILES.test(basename(path)))),
    linksOutside: 'refuse',
  });
}

/** What a single file is called in the artifact. */
function fileOf(fn: ManifestFunction): string {
  const { runtime } = fn.settings;
  // What a program starts, or imports, is where it is.
  return runtime === 'provided' ? 'bootstrap' : isProgram(runtime) ? fn.source : basename(fn.source);
}

/** As in VersionSettings: what is there, not what is hoped for. */
function handlerOf(fn: ManifestFunction, entries: ArtifactEntry[]): string {
  const { runtime } = fn.settings;
  if (runtime === 'provided') return bootstrapOf(fn, entries);
  const files = new Set(entries.map((entry) => entry.path));
  if (runtime === 'wasm') return fn.handler === undefined ? fileOf(fn) : `${fileOf(fn)}#${fn.handler}`;
  const language = runtime.startsWith('nodejs') ? 'nodejs' : 'python';
  const tried = candidates(fn, language);
  const found = tried.find(({ file }) => files.has(file));
  if (found !== undefined) return found.name === undefined ? found.file : `${found.file}#${found.name}`;
  const paths = tried.map(({ file }) => file);
  throw new VirgaError(
    'build_failed',
    `handler '${fn.handler ?? ''}': ${fn.source} has none of ${paths.join(', ')}; it has ${shown(files)}`,
  );
}

function bootstrapOf(fn: ManifestFunction, entries: ArtifactEntry[]): string {
  const bootstrap = entries.find(({ path }) => path === 'bootstrap') ?? entries.find(({ path }) => path === BOOTSTRAP_OF_LAYER);
  if (bootstrap === undefined) {
    const files = shown(new Set(entries.map(({ path }) => path)));
    throw new VirgaError(
      'build_failed',
      `${fn.source} has no file 'bootstrap' at its top, which the runtime provided starts (nor ${BOOTSTRAP_OF_LAYER}, that of a layer); it has ${files}`,
    );
  }
  if (!('link' in bootstrap) && bootstrap.executable !== true) {
    const remedy = fn.source.endsWith('.zip') ? 'and make the archive again, on a system that keeps such modes' : 'and deploy again';
    throw new VirgaError('build_failed', `${bootstrap.path} of ${fn.source} is not executable: chmod +x ${bootstrap.path}, ${remedy}`);
  }
  return fn.handler === undefined ? 'bootstrap' : `bootstrap#${fn.handler}`;
}

/** `src/index.handler` may be in src/index.js and its kin; the first dot after the last slash ends the name of the file, or the last. */
function candidates(fn: ManifestFunction, language: keyof typeof EXTENSIONS): { file: string; name: string | undefined }[] {
  const handler = fn.handler ?? (language === 'python' ? 'main' : 'index');
  const base = handler.lastIndexOf('/') + 1;
  const dots = [...handler.matchAll(/\./g)].map(({ index }) => index).filter((index) => index > base);
  const splits: { stem: string; name: string | undefined }[] = dots.map((dot) => ({
    stem: handler.slice(0, dot),
    name: handler.slice(dot + 1),
  }));
  // Python's modules are named with dots as well.
  if (language === 'python') splits.reverse();
  if (fn.settings.form === 'google' || fn.settings.form === 'workers')
    splits.push({ stem: language === 'python' ? 'main' : 'index', name: fn.handler });
  return splits.flatMap(({ stem, name }) => {
    const path = language === 'python' ? stem.replaceAll('.', '/') : stem;
    return EXTENSIONS[language].map((extension) => ({ file: `${path}${extension}`, name }));
  });
}

function shown(files: ReadonlySet<string>): string {
  const names = [...files].slice(0, NAMES_SHOWN);
  if (names.length === 0) return 'nothing';
  return names.join(', ') + (files.size > NAMES_SHOWN ? ` and ${files.size - NAMES_SHOWN} more` : '');
}
