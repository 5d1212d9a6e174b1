// An app for Node that is taken as it is, folder or archive, of a form whose entry point package.json names: Azure's and Google's.
// Invariants: what its package.json needs is in the artifact, also where npm has put it above the folder (workspaces); what is
// not installed anywhere fails here, not at the first call. Used by as-it-is.ts and program.ts.
import { readFile } from 'node:fs/promises';
import { VirgaError } from '../../protocol/errors.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';
import type { ArtifactEntry } from './archive.ts';
import { checkAzureSources } from './azure-source.ts';
import type { SourceText } from './azure-source.ts';
import { carriedFiles, findPackage } from './packages.ts';
import type { Package, Target } from './packages.ts';

interface AppPackage {
  main?: unknown;
  dependencies?: Record<string, string>;
}

/** Where Google looks for the code when package.json does not say. */
const GOOGLE_MAINS = ['index.js', 'function.js'];
const SOURCE = /\.[cm]?js$/;
const SOURCES_MAX = 2_000;

/** As in VersionSettings: `package.json` or the file of `main`, and the function or entry point that is picked. */
export async function appHandler(fn: ManifestFunction, entries: readonly ArtifactEntry[]): Promise<string> {
  const files = new Set(entries.map(({ path }) => path));
  const named = (file: string): string => (fn.handler === undefined ? file : `${file}#${fn.handler}`);
  if (fn.settings.form === 'azure') {
    if (!files.has('package.json'))
      throw new VirgaError('build_failed', `${fn.source} has no package.json, whose \`main\` names the entry points of an Azure app`);
    return named('package.json');
  }
  const { main } = await packageOf(entries);
  const own = typeof main === 'string' ? main.replace(/^\.\//, '') : undefined;
  const tried = own === undefined ? GOOGLE_MAINS : SOURCE.test(own) ? [own] : [own, `${own}.js`];
  const file = tried.find((one) => files.has(one));
  if (file !== undefined) return named(file);
  throw new VirgaError('build_failed', `${fn.source} has none of ${tried.join(', ')}; name the file with \`main\` in its package.json`);
}

/** Packages that the app needs and the folder does not hold. */
export async function packagesAbove(
  folder: string,
  entries: readonly ArtifactEntry[],
  target: Target,
): Promise<{ packages: Package[]; entries: ArtifactEntry[] }> {
  const { dependencies = {} } = await packageOf(entries);
  const files = new Set(entries.map(({ path }) => path));
  const missing: Package[] = [];
  for (const name of Object.keys(dependencies).sort()) {
    if (files.has(`node_modules/${name}/package.json`)) continue;
    const found = findPackage(name, folder);
    if (found === undefined)
      throw new VirgaError('build_failed', `package.json names '${name}', which is not installed; run \`npm install\` in its folder`);
    missing.push(found);
  }
  return { packages: missing, entries: await carriedFiles(missing, target) };
}

/** What the app's own files show of what Virga lacks. */
export async function checkAzureApp(fn: ManifestFunction, entries: readonly ArtifactEntry[]): Promise<void> {
  checkAzureSources(fn, await ownTexts(entries));
}

/** The author's own code; what lies in packages is not. */
export async function ownTexts(entries: readonly ArtifactEntry[]): Promise<SourceText[]> {
  const own = entries.filter(({ path }) => SOURCE.test(path) && !path.startsWith('node_modules/') && !path.includes('/node_modules/'));
  const sources: SourceText[] = [];
  for (const entry of own.slice(0, SOURCES_MAX)) sources.push({ path: entry.path, text: await textOf(entry) });
  return sources;
}

async function packageOf(entries: readonly ArtifactEntry[]): Promise<AppPackage> {
  const entry = entries.find(({ path }) => path === 'package.json');
  if (entry === undefined) return {};
  try {
    return JSON.parse(await textOf(entry)) as AppPackage;
  } catch (error) {
    throw new VirgaError('build_failed', `package.json is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}

async function textOf(entry: ArtifactEntry): Promise<string> {
  if ('file' in entry) return readFile(entry.file, 'utf8');
  return 'content' in entry ? Buffer.from(entry.content).toString() : '';
}
