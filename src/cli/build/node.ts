// Builds a JavaScript or TypeScript function: one bundle with its source map, and beside it what cannot be bundled
// (packages with native code or files of their own, `include`). Invariants: the same sources give the same bytes; a
// stack trace names the author's file and line; CommonJS stays CommonJS, so that `exports.handler` means what it says.
// Called by build.ts. Rolldown bundles a small function in 10 to 30 ms (esbuild 82 ms, and a larger result).
import { readFileSync, statSync } from 'node:fs';
import { dirname, extname, join, relative, resolve, sep } from 'node:path';
import { RolldownMagicString, rolldown } from 'rolldown';
import type { OutputChunk, Plugin, RolldownLog } from 'rolldown';
import { parseSync } from 'rolldown/utils';
import { VirgaError } from '../../protocol/errors.ts';
import { isBooted } from '../../protocol/settings.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import type { ArtifactEntry } from './archive.ts';
import { checkAzureSources } from './azure-source.ts';
import type { SourceText } from './azure-source.ts';
import { bundleFailure, unresolvedImports } from './bundle-failure.ts';
import { FRAMEWORK, googleEntry } from './google-entry.ts';
import { includedFiles, staticPart } from './include.ts';
import { fileInLayers, layerWithPackage } from './layers.ts';
import { ASKS_WHERE, COMPUTED_REQUIRE, ownFolderEdits, withoutComments, WORTH_A_LOOK } from './own-folder.ts';
import { carriedFiles, findPackage, hasNativeCode, packageNameOf, packageOfFile } from './packages.ts';
import type { Package, Target } from './packages.ts';
import { checkWorker } from './worker-check.ts';
import { WORKER_CONDITIONS, workerModules } from './worker-modules.ts';

export interface BuiltFunction {
  entries: ArtifactEntry[];
  /** As in VersionSettings. */
  handler: string;
  /** Files and folders whose change calls for another build; absolute. */
  sources: string[];
  /** What works here, but perhaps not as the author thinks. */
  warnings?: string[];
}

/**
 * Express asks for template engines by the names that the author gives it. They are looked for beside the bundle too, and the 66
 * packages of Express as files take 40 ms more of each cold start.
 */
const AUTHORS_REQUIRE = '/node_modules/express/lib/view.js';
/** Each further round carries packages that the one before found unfit for bundling. */
const ROUNDS_MAX = 20;
const CODE = /\.[cm]?[jt]sx?$/;

export async function buildNode(
  fn: ManifestFunction,
  options: { manifest: Manifest; target: Target; layers: readonly string[] },
): Promise<BuiltFunction> {
  const { manifest, target, layers } = options;
  const { folder } = manifest;
  const input = join(folder, fn.source);
  const format = isCommonJs(input) ? 'cjs' : 'esm';
  const carried = new Map<string, Package>();
  for (const name of fn.external) {
    const found = findPackage(name, dirname(input));
    if (found === undefined)
      throw new VirgaError('build_failed', `external: the package '${name}' is not installed; run \`npm install ${name}\``);
    carried.set(name, found);
  }
  const addons = new Map<string, ArtifactEntry>();
  const worker = fn.settings.form === 'workers' ? { folder, files: addons, problems: new Set<string>() } : undefined;
  let chunk: OutputChunk | undefined;
  let map: Uint8Array | undefined;
  let modules: string[];
  for (let round = 0; ; round++) {
    const carriedBefore = carried.size;
    const entry = fn.settings.form === 'google' && !carried.has(FRAMEWORK) ? googleEntry(input, format) : { input };
    const before = worker !== undefined ? [workerModules(worker)] : 'plugin' in entry ? [entry.plugin] : [];
    const plugins = [...before, plugin({ folder, carried, addons, layers })];
    const conditions = worker === undefined ? undefined : WORKER_CONDITIONS;
    ({ chunk, map, modules } = await bundle(entry.input, { folder, format, plugins, conditions }));
    // Packages found while they were already being bundled: once more without them.
    if (![...carried.values()].some((found) => chunk!.moduleIds.some((id) => id.startsWith(`${found.folder}${sep}`)))) break;
    if (round >= ROUNDS_MAX || (round > 0 && carried.size === carriedBefore)) break;
  }
  if (fn.settings.form === 'azure') checkAzureSources(fn, ownSources(modules, folder));
  const checked =
    worker === undefined
      ? undefined
      : checkWorker(fn, {
          manifest,
          problems: worker.problems,
          sources: ownSources(modules, folder),
          ...(format === 'esm' ? { exports: chunk.exports } : {}),
        });
  const file = format === 'cjs' ? 'index.cjs' : 'index.mjs';
  if (format === 'esm' && isExported(fn)) checkExports(fn, chunk.exports);
  const entries: ArtifactEntry[] = [
    { path: file, content: Buffer.from(chunk.code) },
    { path: `${file}.map`, content: map },
  ];
  const own = new Set(entries.map((entry) => entry.path));
  if (fn.settings.form === 'azure') entries.push(...hostJson(dirname(input), folder));
  for (const entry of [...addons.values(), ...(await includedFiles(folder, fn.include))]) {
    if (own.has(entry.path)) throw new VirgaError('build_failed', `include: ${entry.path} has the name of the bundle; rename the file`);
    entries.push(entry);
  }
  entries.push(...(await carriedFiles([...carried.values()], target)));
  const unique = new Map(entries.map((entry) => [entry.path, entry]));
  const settings = ['package.json', 'package-lock.json', 'tsconfig.json'].map((name) => join(folder, name));
  const sources = [
    input,
    ...settings,
    ...modules,
    ...(checked?.sources ?? []),
    ...fn.include.map((glob) => join(folder, staticPart(glob))),
  ];
  return {
    entries: [...unique.values()],
    // AWS Lambda's `index.handler` names the author's file, which is the bundle now.
    handler: fn.handler === undefined ? file : `${file}#${isExported(fn) ? exportOf(fn.handler) : fn.handler}`,
    sources: [...new Set(sources)],
    ...(checked === undefined ? {} : { warnings: checked.warnings }),
  };
}

/** The author's own modules. */
function* ownSources(modules: readonly string[], folder: string): Generator<SourceText> {
  for (const file of modules)
    if (CODE.test(file) && packageOfFile(file) === undefined) yield { path: relative(folder, file), text: readFileSync(file, 'utf8') };
}

/** The settings of an Azure app (its route prefix), from the folder of the source or the nearest one above it. */
function hostJson(from: string, top: string): ArtifactEntry[] {
  for (let at = from; ; at = dirname(at)) {
    const file = join(at, 'host.json');
    const found = statSync(file, { throwIfNoEntry: false });
    if (found?.isFile() === true) return [{ path: 'host.json', file, bytes: found.size }];
    if (at === top || dirname(at) === at) return [];
  }
}

interface BundleOptions {
  folder: string;
  format: 'cjs' | 'esm';
  plugins: Plugin[];
  /** Of package.json's `exports`, before what every bundle for Node takes. */
  conditions: string[] | undefined;
}

async function bundle(
  input: string,
  { folder, format, plugins, conditions }: BundleOptions,
): Promise<{ chunk: OutputChunk; map: Uint8Array; modules: string[] }> {
  const unresolved: RolldownLog[] = [];
  try {
    await using build = await rolldown({
      input,
      cwd: folder,
      platform: 'node',
      logLevel: 'warn',
      onLog(_level, log) {
        // A package may look for another one that is optional; the author's own import of nothing is a mistake.
        if (log.code === 'UNRESOLVED_IMPORT' && log.id !== undefined && packageOfFile(log.id) === undefined) unresolved.push(log);
      },
      tsconfig: true,
      plugins,
      ...(conditions === undefined ? {} : { resolve: { conditionNames: conditions } }),
      // A CommonJS module within an ES bundle still says __dirname, which ES modules do not have.
      transform: { define: format === 'esm' ? { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' } : {} },
      moduleTypes: { '.txt': 'text', '.html': 'text', '.sql': 'text', '.md': 'text' },
    });
    const { output } = await build.generate({
      dir: folder,
      format,
      codeSplitting: false,
      entryFileNames: format === 'cjs' ? 'index.cjs' : 'index.mjs',
      sourcemap: true,
      sourcemapExcludeSources: true,
    });
    if (unresolved.length > 0) throw unresolvedImports(unresolved, folder);
    const map = output.find((one) => one.type === 'asset' && one.fileName.endsWith('.map'));
    if (map?.type !== 'asset') throw new VirgaError('build_failed', 'the bundler made no source map');
    // Also those of which nothing is left (a constant that was inlined).
    const modules = (await build.watchFiles).filter((file) => file.startsWith('/'));
    return { chunk: output[0], map: typeof map.source === 'string' ? Buffer.from(map.source) : map.source, modules };
  } catch (error) {
    throw bundleFailure(error, folder);
  }
}

interface Carrying {
  folder: string;
  /** Filled here: packages that go along as files. */
  carried: Map<string, Package>;
  /** Filled here: the author's own native addons. */
  addons: Map<string, ArtifactEntry>;
  /** Folders of the function's layers. */
  layers: readonly string[];
}

function plugin({ folder, carried, addons, layers }: Carrying): Plugin {
  const native = new Map<string, boolean>();
  const carry = (found: Package): void => void carried.set(found.name, found);
  return {
    name: 'virga',
    resolveId: {
      filter: { id: /^[@\w~]|\.node$|^\/opt\// },
      handler(specifier, importer) {
        if (importer === undefined) return null;
        const from = dirname(importer);
        if (specifier.startsWith('/opt/')) {
          const file = fileInLayers(specifier, layers);
          return file === undefined ? null : this.resolve(file, importer);
        }
        if (/^\.{1,2}\/.*\.node$/.test(specifier) && packageOfFile(importer) === undefined) {
          const file = resolve(from, specifier);
          const path = relative(folder, file).split(sep).join('/');
          const bytes = statSync(file, { throwIfNoEntry: false })?.size;
          if (bytes === undefined || path.startsWith('../')) return null;
          addons.set(path, { path, file, bytes });
          return { id: `./${path}`, external: true };
        }
        const name = packageNameOf(specifier);
        const found = name === undefined ? undefined : findPackage(name, from);
        if (found === undefined) {
          // What only a layer has is bundled like any other: import knows nothing of NODE_PATH.
          const layer = name === undefined ? undefined : layerWithPackage(name, layers);
          return layer === undefined ? null : this.resolve(specifier, join(layer, 'layer.js'));
        }
        if (!native.has(found.folder)) native.set(found.folder, hasNativeCode(found));
        if (!native.get(found.folder) && carried.get(found.name)?.folder !== found.folder) return null;
        const taken = carried.get(found.name) ?? findPackage(found.name, folder);
        const owner = packageOfFile(importer);
        if (taken !== undefined && taken.folder !== found.folder && owner !== undefined) {
          // Another version of it is the function's own: whoever needs this one goes along as files as well.
          carry(owner);
          return { id: specifier, external: true };
        }
        carry(found);
        return { id: specifier, external: true };
      },
    },
    transform: {
      filter: { code: WORTH_A_LOOK, id: /^\// },
      handler(code, id) {
        const owner = packageOfFile(id);
        if (owner === undefined) {
          const path = relative(folder, id).split(sep).join('/');
          const edits = path.startsWith('../') || !ASKS_WHERE.test(code) ? [] : ownFolderEdits(code, path);
          if (edits.length === 0) return null;
          const text = new RolldownMagicString(code);
          for (const edit of edits) text.update(edit.start, edit.end, edit.text);
          return { code: text.toString(), map: text.generateMap({ source: id, hires: true }).toString() };
        }
        const bare = withoutComments(code, id);
        if (ASKS_WHERE.test(bare) || (COMPUTED_REQUIRE.test(bare) && !id.endsWith(AUTHORS_REQUIRE))) carry(owner);
        return null;
      },
    },
  };
}

/** By its extension; where that leaves it open, by whether it has import or export in it, as Node decides too. */
function isCommonJs(file: string): boolean {
  const extension = extname(file);
  if (extension === '.cjs' || extension === '.cts') return true;
  if (extension === '.mjs' || extension === '.mts') return false;
  const { module, errors } = parseSync(file, readFileSync(file, 'utf8'));
  return errors.length === 0 && !module.hasModuleSyntax;
}

function exportOf(handler: string): string {
  const dot = handler.indexOf('.', handler.lastIndexOf('/') + 1);
  return dot === -1 ? handler : handler.slice(dot + 1);
}

/** Whether what is called is something that the source exports: other forms register it, or start the source as a program. */
function isExported(fn: ManifestFunction): boolean {
  return isBooted(fn.settings.runtime) && (fn.settings.form === 'native' || fn.settings.form === 'lambda');
}

function checkExports(fn: ManifestFunction, names: readonly string[]): void {
  if (fn.handler !== undefined) {
    if (names.includes(exportOf(fn.handler).split('.')[0]!)) return;
    throw new VirgaError(
      'build_failed',
      `${fn.source} does not export '${fn.handler}', which \`handler\` names; it exports ${names.join(', ') || 'nothing'}`,
    );
  }
  if (['default', 'handler', 'fetch', 'event'].some((name) => names.includes(name))) return;
  throw new VirgaError(
    'build_failed',
    `${fn.source} exports ${names.join(', ') || 'nothing'}; expected \`export default { fetch(request, context) {…} }\` or \`export const handler = async (event, context) => …\``,
  );
}
