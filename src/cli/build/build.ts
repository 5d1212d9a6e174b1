// Builds the functions of a manifest into artifacts in a folder of their own, two at a time. Invariant: either every
// function that was asked for is built, or one error tells what is wrong with each that is not. Callers: the commands
// deploy, diff and dev, and export, which makes other archives of the same files.
import { join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { isUnbundled, sourceKind } from '../manifest/source.ts';
import { writeArchive } from './archive.ts';
import type { Archive } from './archive.ts';
import { layersOf } from './layers.ts';
import type { Layers } from './layers.ts';
import type { BuiltFunction } from './node.ts';
import type { Target } from './packages.ts';

export interface BuildOptions {
  /** Archives are written here. */
  workFolder: string;
  /** For installed Python packages. */
  cacheFolder: string;
  fresh?: boolean;
  /** Only these functions. */
  only?: ReadonlySet<string>;
  signal?: AbortSignal;
  /** Progress for people. */
  note?(text: string): void;
}

export interface Built extends Archive {
  name: string;
  /** The archive. */
  file: string;
  handler: string;
  /** Files and folders whose change calls for another build; absolute. */
  sources: string[];
  /** For the author, each a line or more. */
  warnings: string[];
  ms: number;
}

const AT_ONCE = 2;

/** What a function consists of, before it is an artifact. */
export interface FunctionParts extends BuiltFunction {
  fn: ManifestFunction;
  layers: Layers;
}

export function buildFunctions(manifest: Manifest, options: BuildOptions): Promise<Built[]> {
  return eachFunction(manifest, options, async (fn) => {
    const startedAt = performance.now();
    const { entries: own, handler, sources, layers, warnings = [] } = await partsOf(fn, manifest, options);
    const entries = [...new Map([...layers.files, ...own].map((entry) => [entry.path, entry])).values()];
    const file = join(options.workFolder, `${fn.name}.tar.gz`);
    const archive = await writeArchive(entries, file, {
      what: `function '${fn.name}'`,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return { ...archive, name: fn.name, file, handler, sources, warnings, ms: performance.now() - startedAt };
  });
}

/** As buildFunctions, for an archive of another kind. */
export function buildParts(manifest: Manifest, options: BuildOptions): Promise<FunctionParts[]> {
  return eachFunction(manifest, options, (fn) => partsOf(fn, manifest, options));
}

async function eachFunction<T>(manifest: Manifest, options: BuildOptions, build: (fn: ManifestFunction) => Promise<T>): Promise<T[]> {
  const wanted = manifest.functions.filter((fn) => options.only?.has(fn.name) ?? true);
  const waiting = wanted.entries();
  const built: T[] = [];
  const failures: { index: number; fn: ManifestFunction; error: unknown }[] = [];
  const work = async (): Promise<void> => {
    for (const [index, fn] of waiting) {
      options.signal?.throwIfAborted();
      try {
        built[index] = await build(fn);
      } catch (error) {
        failures.push({ index, fn, error });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (failures.length > 0) throw failureOf(failures.sort((a, b) => a.index - b.index));
  return built;
}

async function partsOf(fn: ManifestFunction, manifest: Manifest, options: BuildOptions): Promise<FunctionParts> {
  const note = (text: string): void => options.note?.(`${fn.name}: ${text}`);
  const layers = await layersOf(fn, { manifest, workFolder: options.workFolder });
  const own = await buildOf(fn, manifest, { ...options, note, layers });
  return { ...own, fn, layers, sources: [...own.sources, ...fn.layers.map((layer) => join(manifest.folder, layer))] };
}

async function buildOf(
  fn: ManifestFunction,
  manifest: Manifest,
  options: BuildOptions & { note(text: string): void; layers: Layers },
): Promise<BuiltFunction> {
  // A program that is started, in whatever language it is written.
  const kind = fn.settings.runtime === 'provided' ? 'other' : sourceKind(manifest.folder, fn.source);
  if (kind === 'python' && !isUnbundled(fn.settings, kind)) {
    const { buildPython } = await import('./python.ts');
    return buildPython(fn, { manifest, cacheFolder: options.cacheFolder, fresh: options.fresh ?? false, note: options.note });
  }
  if (kind !== 'nodejs' || isUnbundled(fn.settings, kind)) {
    const { buildAsItIs } = await import('./as-it-is.ts');
    return buildAsItIs(fn, { manifest, workFolder: options.workFolder, target: targetOf(), layers: options.layers.files });
  }
  return (await import('./node.ts')).buildNode(fn, { manifest, target: targetOf(), layers: options.layers.folders });
}

/** Functions run on Linux; on which processor only a Linux client, deploying to its own kind, can tell. */
function targetOf(): Target {
  return { os: 'linux', cpu: process.platform === 'linux' ? process.arch : 'x64' };
}

function failureOf(failures: { fn: ManifestFunction; error: unknown }[]): VirgaError {
  const known = failures.find(({ error }) => !(error instanceof VirgaError));
  if (known !== undefined && (known.error as Error).name === 'AbortError') throw known.error;
  const codes = new Set<ErrorCode>(failures.map(({ error }) => (error instanceof VirgaError ? error.code : 'build_failed')));
  const texts = failures.map(({ fn, error }) => {
    const message = (error as Error).message;
    return `function '${fn.name}' cannot be built:${message.includes('\n') ? `\n${message.replace(/^/gm, '  ')}` : ` ${message}`}`;
  });
  return new VirgaError(codes.size === 1 ? [...codes][0]! : 'build_failed', texts.join('\n'), { cause: failures[0]!.error });
}
