// Builds a Python function: the folder of its source, and the packages of requirements.txt under `.packages`.
// Invariants: nothing of the author's machine gets in (no virtual environment, no caches, no .env); the sources of other
// functions of the manifest stay out, so that a change there is no new version here. Called by build.ts.
import { existsSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import type { Manifest, ManifestFunction } from '../manifest/manifest.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';
import { includedFiles, staticPart } from './include.ts';
import type { BuiltFunction } from './node.ts';
import { installedPackages } from './pip.ts';
import { pythonOf, runPython } from './python-command.ts';

const SKIPPED_NAMES = new Set([
  '__pycache__',
  '.venv',
  'venv',
  '.git',
  '.hg',
  'node_modules',
  '.virga',
  '.packages',
  '.mypy_cache',
  '.pytest_cache',
  '.ruff_cache',
  '.tox',
  '.DS_Store',
  'virga.yaml',
  'export-lambda',
]);
const SKIPPED_FILES = /\.(?:pyc|pyo|[cm]?tsx?)$|^\.env(?:\.|$)/;

export interface PythonBuildOptions {
  manifest: Manifest;
  cacheFolder: string;
  /** Install the packages again, whatever the cache has. */
  fresh: boolean;
  note(text: string): void;
}

export async function buildPython(fn: ManifestFunction, options: PythonBuildOptions): Promise<BuiltFunction> {
  const { manifest } = options;
  const source = join(manifest.folder, fn.source);
  const { root, file, name } = placeOf(fn);
  const folder = join(manifest.folder, root);
  await checkSyntax(source, fn.source);
  const others = new Set(
    manifest.functions.filter((other) => other.source !== fn.source).map((other) => join(manifest.folder, other.source)),
  );
  const entries = await filesOfFolder(folder, {
    under: '',
    filesMax: ARCHIVE_LIMITS.filesMax,
    skip: (path, isFolder) =>
      SKIPPED_NAMES.has(basename(path)) || (!isFolder && SKIPPED_FILES.test(basename(path))) || others.has(join(folder, path)),
    linksOutside: 'refuse',
  });
  const inside = relative(manifest.folder, folder).split(sep).join('/');
  // What lies below the source keeps its place beside it; the rest its place in the project.
  const included = await includedFiles(manifest.folder, fn.include, (path) =>
    inside !== '' && path.startsWith(`${inside}/`) ? path.slice(inside.length + 1) : path,
  );
  const requirements = nearest('requirements.txt', dirname(source), manifest.folder);
  const packages = requirements === undefined ? [] : await installedPackages(requirements, options);
  const unique = new Map([...entries, ...included, ...packages].map((entry) => [entry.path, entry]));
  return {
    entries: [...unique.values()],
    handler: name === undefined ? file : `${file}#${name}`,
    sources: [
      folder,
      ...(requirements === undefined ? [] : [requirements]),
      ...fn.include.map((glob) => join(manifest.folder, staticPart(glob))),
    ],
  };
}

/**
 * What folder is the top of the artifact, the source's place in it, and what to call there. AWS Lambda's handler names its file
 * from the top: with `src/orders.create` in src/orders.py it is the folder of src, so that `from src.prices import …` works.
 */
function placeOf(fn: ManifestFunction): { root: string; file: string; name: string | undefined } {
  const folder = dirname(fn.source) === '.' ? '' : dirname(fn.source);
  const dot = fn.handler?.lastIndexOf('.') ?? -1;
  if (fn.settings.form !== 'lambda' || dot === -1) return { root: folder, file: basename(fn.source), name: fn.handler };
  const stem = fn.handler!.slice(0, dot).replaceAll('.', '/');
  const whole = `/${fn.source.replace(/\.py$/, '')}`;
  // A handler that names another file means the export alone.
  if (!whole.endsWith(`/${stem}`)) return { root: folder, file: basename(fn.source), name: fn.handler };
  return { root: whole.slice(1, -stem.length).replace(/\/$/, ''), file: `${stem}.py`, name: fn.handler!.slice(dot + 1) };
}

/** The file of this name in the folder or the nearest one above it, up to `top`. */
function nearest(name: string, folder: string, top: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, name))) return join(at, name);
    if (at === top || dirname(at) === at) return undefined;
  }
}

/** A mistake is better told at the deploy than at the first call. Without a Python here the server finds it. */
async function checkSyntax(file: string, shown: string): Promise<void> {
  const python = pythonOf();
  if (python === undefined) return;
  const program = 'import ast,sys\nast.parse(open(sys.argv[1],"rb").read(),sys.argv[2])';
  const { code, stderr } = await runPython(python, ['-I', '-c', program, file, shown], { timeoutMs: 20_000 });
  if (code === 0) return;
  const lines = stderr.trimEnd().split('\n');
  const from = lines.findLastIndex((line) => /^\s*File "/.test(line));
  const [, line] = /line (\d+)/.exec(lines[from] ?? '') ?? [];
  throw new VirgaError(
    'build_failed',
    `${shown}${line === undefined ? '' : `:${line}`}: ${lines.at(-1)}\n${lines.slice(from + 1, -1).join('\n')}`.trimEnd(),
  );
}
