// npm packages that are carried as files because bundling would break them: those with native code, and those that read
// their own files. Invariant: a carried package comes with its whole closure of dependencies exactly as Node resolves it
// in the author's project (hoisted workspaces and linked folders included), laid out so that Node resolves it the same
// way inside the artifact; optional platform packages only for the target. Used by node.ts.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';

/** Where functions run. */
export interface Target {
  os: 'linux';
  /** As in process.arch, e.g. `x64`. */
  cpu: string;
}

export interface Package {
  name: string;
  /** Absolute, links resolved. */
  folder: string;
  json: PackageJson;
}

interface PackageJson {
  name?: string;
  version?: string;
  gypfile?: boolean;
  binary?: unknown;
  bin?: string | Record<string, string>;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

const PACKAGES_MAX = 2_000;
const SCAN_ENTRIES_MAX = 5_000;
const NATIVE_LOADERS = new Set([
  'bindings',
  'node-gyp-build',
  'node-gyp-build-optional-packages',
  'prebuild-install',
  'node-pre-gyp',
  '@mapbox/node-pre-gyp',
  'node-addon-api',
  'napi-postinstall',
  'pkg-prebuilds',
]);
const PLATFORM_NAME = /(?:^|[-/_.])(?:linux(?:musl)?|darwin|win32|windows|freebsd|openbsd|android)(?:[-_.]|$)/;

/** `sharp/lib/x.js` → `sharp`, `@a/b/c` → `@a/b`; undefined for paths, `node:` and `#` imports. */
export function packageNameOf(specifier: string): string | undefined {
  return /^(?:@[a-zA-Z0-9~-][\w.~-]*\/)?[a-zA-Z0-9~-][\w.~-]*(?=\/|$)/.exec(specifier)?.[0];
}

/** The package that a module in `folder` gets under this name, as Node looks for it. */
export function findPackage(name: string, folder: string): Package | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return packageAt(name, realpathSync(candidate));
    if (dirname(at) === at) return undefined;
  }
}

/** The package under node_modules that a file belongs to; undefined for the author's own files. */
export function packageOfFile(file: string): Package | undefined {
  const at = file.lastIndexOf('/node_modules/');
  if (at === -1) return undefined;
  const name = packageNameOf(file.slice(at + '/node_modules/'.length));
  return name === undefined ? undefined : packageAt(name, `${file.slice(0, at)}/node_modules/${name}`);
}

function packageAt(name: string, folder: string): Package {
  try {
    return { name, folder, json: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson };
  } catch (error) {
    throw new VirgaError(
      'build_failed',
      `${join(folder, 'package.json')} cannot be read: ${(error as Error).message}; install the packages again`,
    );
  }
}

/** Whether the package has native code, or loads some from another package. */
export function hasNativeCode({ folder, json }: Package): boolean {
  if (json.gypfile === true || json.binary !== undefined) return true;
  if (Object.keys(json.dependencies ?? {}).some((name) => NATIVE_LOADERS.has(name))) return true;
  if (Object.keys(json.optionalDependencies ?? {}).some((name) => PLATFORM_NAME.test(name))) return true;
  return containsAddon(folder);
}

function containsAddon(folder: string): boolean {
  let seen = 0;
  const visit = (at: string, depth: number): boolean => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (++seen > SCAN_ENTRIES_MAX) return false;
      if (entry.name.endsWith('.node') || entry.name === 'binding.gyp') return true;
      if (entry.isDirectory() && entry.name !== 'node_modules' && depth < 6 && visit(join(at, entry.name), depth + 1)) return true;
    }
    return false;
  };
  return visit(folder, 1);
}

/** All files of these packages and of what they depend on, under `node_modules/`. */
export async function carriedFiles(roots: readonly Package[], target: Target): Promise<ArtifactEntry[]> {
  const placed = new Map<string, string>(); // place inside the artifact → folder on this machine
  for (const root of [...roots].sort((a, b) => (a.name < b.name ? -1 : 1))) place(root, '', { placed, target });
  const entries: ArtifactEntry[] = [];
  const prebuilt = new RegExp(`^prebuilds/(?!${target.os}-${target.cpu}(?:[^a-z0-9]|$))[^/]+$`);
  for (const [under, folder] of placed) {
    const files = await filesOfFolder(folder, {
      under,
      filesMax: ARCHIVE_LIMITS.filesMax,
      skip: (path, isFolder) => isFolder && (/(?:^|\/)(?:node_modules|\.git)$/.test(path) || prebuilt.test(path)),
      linksOutside: 'skip',
    });
    for (const file of files) entries.push(file);
  }
  return entries;
}

interface Placement {
  placed: Map<string, string>;
  target: Target;
}

/** `parent` is the place of the package that depends on it; '' is the function itself. */
function place(found: Package, parent: string, state: Placement): void {
  const { placed, target } = state;
  const visible = visiblePlace(found.name, parent, placed);
  if (visible !== undefined && placed.get(visible) === found.folder) return;
  // As flat as npm does it: at the top unless the name means another package there already.
  const at = visible === undefined ? `node_modules/${found.name}` : `${parent === '' ? '' : `${parent}/`}node_modules/${found.name}`;
  if (placed.has(at)) throw new VirgaError('build_failed', `two packages are both '${found.name}': ${placed.get(at)} and ${found.folder}`);
  if (placed.size >= PACKAGES_MAX) throw new VirgaError('build_failed', `more than ${PACKAGES_MAX} packages would be carried as files`);
  if (!fits(found.json, target)) throw notForTarget(found, target);
  placed.set(at, found.folder);
  const { dependencies = {}, optionalDependencies = {}, peerDependencies = {} } = found.json;
  let platformPackages = 0;
  for (const name of Object.keys({ ...peerDependencies, ...optionalDependencies, ...dependencies }).sort()) {
    const dependency = findPackage(name, found.folder);
    const needed = name in dependencies && !(name in optionalDependencies);
    if (dependency === undefined) {
      if (needed)
        throw new VirgaError('build_failed', `'${found.name}' needs the package '${name}', which is not installed; run \`npm install\``);
      continue;
    }
    if (!needed && !fits(dependency.json, target)) continue;
    if (PLATFORM_NAME.test(name)) platformPackages++;
    place(dependency, at, state);
  }
  const offered = Object.keys(optionalDependencies).filter((name) => PLATFORM_NAME.test(name));
  const wanted = offered.find(
    (name) => name.includes(target.os) && !name.includes('musl') && new RegExp(`[-_.]${target.cpu}(?:[-_.]|$)`).test(name),
  );
  if (platformPackages === 0 && wanted !== undefined) throw notForTarget(found, target);
}

/** Where Node, looking from `parent`, finds the name among what is placed. */
function visiblePlace(name: string, parent: string, placed: Map<string, string>): string | undefined {
  for (let at = parent; ;) {
    const candidate = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (placed.has(candidate)) return candidate;
    if (at === '') return undefined;
    const cut = at.lastIndexOf('/node_modules/');
    at = cut === -1 ? '' : at.slice(0, cut);
  }
}

function fits(json: PackageJson, target: Target): boolean {
  return allows(json.os, target.os) && allows(json.cpu, target.cpu) && allows(json.libc, 'glibc');
}

/** As in package.json: names that fit, or `!` and names that do not. */
function allows(list: string[] | undefined, value: string): boolean {
  if (!Array.isArray(list) || list.length === 0) return true;
  if (list.includes(`!${value}`)) return false;
  const names = list.filter((name) => !name.startsWith('!'));
  return names.length === 0 || names.includes(value);
}

function notForTarget(found: Package, target: Target): VirgaError {
  const { name, json } = found;
  const command = `npm install --os=${target.os} --cpu=${target.cpu} --libc=glibc ${name}@${json.version ?? 'latest'}`;
  return new VirgaError(
    'build_failed',
    `'${name}' is installed without its native code for ${target.os}-${target.cpu}, where functions run; add it with \`${command}\``,
  );
}
