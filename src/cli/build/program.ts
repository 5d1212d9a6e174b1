// A program that serves HTTP (runtimes web, bun, deno) and is taken as it is: which file of it is started, and what it needs from
// npm. Invariants: packages that its package.json or `external` names are in the artifact with all that they need, and their
// commands in node_modules/.bin, also where npm has put them above its folder; what is not there fails here, not at the first
// call. Used by as-it-is.ts.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { ManifestFunction } from '../manifest/manifest.ts';
import type { SourceKind } from '../manifest/source.ts';
import type { ArtifactEntry } from './archive.ts';
import { packagesAbove } from './node-app.ts';
import { carriedFiles, findPackage } from './packages.ts';
import type { Package, Target } from './packages.ts';

const STEMS = ['server', 'index', 'main', 'app'];
const EXTENSIONS = { web: ['.js', '.mjs', '.cjs', '.py'], script: ['.ts', '.tsx', '.js', '.mjs'] };
const NAMES_SHOWN = 12;

export interface ProgramParts {
  /** The source, absolute. */
  source: string;
  kind: SourceKind | undefined;
  own: readonly ArtifactEntry[];
  target: Target;
}

export async function programPackages(fn: ManifestFunction, { source, kind, own, target }: ProgramParts): Promise<ArtifactEntry[]> {
  const folder = kind === 'folder' ? source : dirname(source);
  const external = fn.external.map((name) => {
    const found = findPackage(name, folder);
    if (found !== undefined) return found;
    throw new VirgaError('build_failed', `external: the package '${name}' is not installed; run \`npm install ${name}\``);
  });
  const above = kind === 'folder' ? await packagesAbove(source, own, target) : { packages: [], entries: [] };
  const entries = [...above.entries, ...(await carriedFiles(external, target))];
  return [...entries, ...commandsOf([...above.packages, ...external])];
}

/** As in VersionSettings: what is started when there is no command. */
export async function programFile(fn: ManifestFunction, file: string | undefined, entries: readonly ArtifactEntry[]): Promise<string> {
  const { runtime, command } = fn.settings;
  const files = new Set(entries.map(({ path }) => path));
  if (file !== undefined) return file;
  if (command !== undefined) return fn.handler ?? 'none';
  const main = await packageJsonOf(entries);
  const named = fn.handler ?? main.main?.replace(/^\.\//, '');
  const endings = runtime === 'web' ? EXTENSIONS.web : EXTENSIONS.script;
  const tried = named === undefined ? STEMS.flatMap((stem) => endings.map((ending) => `${stem}${ending}`)) : [named];
  const found = tried.find((one) => files.has(one));
  if (found !== undefined) return found;
  const start = main.scripts?.['start'];
  const hint = start === undefined ? '' : ` (its package.json says: \`command: ${start}\`)`;
  const there = [...files].filter((path) => !path.startsWith('node_modules/')).slice(0, NAMES_SHOWN);
  throw new VirgaError(
    'build_failed',
    `${fn.source} has none of ${tried.join(', ')}; set \`command\` to what starts the program${hint}, or \`handler\` to its file; it has ${there.join(', ') || 'nothing'}`,
  );
}

/** What npm would link. */
function commandsOf(packages: readonly Package[]): ArtifactEntry[] {
  return packages.flatMap(({ name, json: { bin } }) => {
    const commands = typeof bin === 'string' ? { [name.replace(/^@[^/]*\//, '')]: bin } : (bin ?? {});
    return Object.entries(commands).map(([command, file]) => ({ path: `node_modules/.bin/${command}`, link: join('..', name, file) }));
  });
}

async function packageJsonOf(entries: readonly ArtifactEntry[]): Promise<{ main?: string; scripts?: Record<string, string> }> {
  const entry = entries.find(({ path }) => path === 'package.json');
  if (entry === undefined || !('file' in entry)) return {};
  try {
    return JSON.parse(await readFile(entry.file, 'utf8')) as { main?: string; scripts?: Record<string, string> };
  } catch (error) {
    throw new VirgaError('build_failed', `package.json is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
}
