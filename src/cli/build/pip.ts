// The packages of a requirements.txt, installed by pip into a folder of the cache and from there into the artifact.
// Invariant: a folder of the cache is whole or absent (installed beside it, then renamed); its name is the hash of the
// requirements and of the Python they are for. Requirements on local folders are never cached, since those change.
// Bounded: folders unused for 30 days, and all but the 30 latest, are removed. Used by python.ts.
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { VirgaError } from '../../protocol/errors.ts';
import { ARCHIVE_LIMITS } from './archive.ts';
import type { ArtifactEntry } from './archive.ts';
import { filesOfFolder } from './folder-files.ts';
import { hashOf } from './hash.ts';
import { pythonOf, runPython } from './python-command.ts';

export interface PipOptions {
  cacheFolder: string;
  fresh: boolean;
  note(text: string): void;
}

const INSTALL_MS_MAX = 15 * 60_000;
const KEPT_MAX = 30;
const KEPT_MS = 30 * 86_400_000;
const NESTED_MAX = 20;

export async function installedPackages(requirements: string, options: PipOptions): Promise<ArtifactEntry[]> {
  const { text, local } = await wholeText(requirements);
  if (text.split('\n').every((line) => line.trim() === '' || line.trim().startsWith('#'))) return [];
  const python = pythonOf() ?? 'python3';
  const version = await runPython(python, ['-I', '-c', 'import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_platform())'], {
    timeoutMs: 20_000,
  });
  if (version.code !== 0) {
    throw new VirgaError(
      'build_failed',
      `the packages of ${basename(requirements)} need a Python on this machine: ${version.stderr.trim()}; install python3 and pip`,
    );
  }
  const parent = join(options.cacheFolder, 'python');
  const folder = join(parent, hashOf(text, version.stdout));
  await mkdir(parent, { recursive: true });
  const cached = !local && !options.fresh && (await stat(folder).catch(() => undefined)) !== undefined;
  if (!cached) {
    const fresh = await mkdtemp(`${folder}-`);
    try {
      options.note(`installing the packages of ${requirements}`);
      await install({ python, requirements, into: fresh });
      if (local) return await entriesWithContent(fresh);
      await rm(folder, { recursive: true, force: true });
      await rename(fresh, folder).catch(async (error: NodeJS.ErrnoException) => {
        // Another build was faster with the same packages.
        if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      });
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  }
  const now = new Date();
  await utimes(folder, now, now);
  await prune(parent);
  return await entriesOf(folder);
}

async function install({ python, requirements, into }: { python: string; requirements: string; into: string }): Promise<void> {
  const args = [
    'install',
    '--target',
    into,
    '--requirement',
    requirements,
    '--no-compile',
    '--disable-pip-version-check',
    '--no-input',
    '--quiet',
    '--progress-bar',
    'off',
  ];
  const cwd = dirname(requirements);
  let run = await runPython(python, ['-m', 'pip', ...args], { timeoutMs: INSTALL_MS_MAX, cwd });
  if (run.code !== 0 && lacksPip(run.stderr)) {
    // Another Python of this machine may have a pip, which can install for this one.
    run = await runPython('python3', ['-m', 'pip', '--python', python, ...args], { timeoutMs: INSTALL_MS_MAX, cwd });
  }
  if (run.code === 0) return;
  if (lacksPip(run.stderr))
    throw new VirgaError(
      'build_failed',
      `${basename(requirements)}: Python has no pip on this machine; install it (Debian: \`apt install python3-pip\`)`,
    );
  const lines = run.stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('WARNING: Running pip as'));
  const reason =
    run.code === null && lines.length === 0 ? `pip was ended after ${INSTALL_MS_MAX / 60_000} minutes` : lines.slice(-12).join('\n');
  throw new VirgaError('build_failed', `${basename(requirements)}: pip could not install the packages:\n${reason}`);
}

function lacksPip(stderr: string): boolean {
  return /No module named '?pip|cannot be started/.test(stderr);
}

/** The requirements with all files that they name by -r and -c, and whether something in them is local. */
async function wholeText(file: string, seen = new Set<string>()): Promise<{ text: string; local: boolean }> {
  if (seen.has(file) || seen.size >= NESTED_MAX) return { text: '', local: false };
  seen.add(file);
  const own = await readFile(file, 'utf8').catch((error: Error) => {
    throw new VirgaError('build_failed', `${file} cannot be read: ${error.message}`);
  });
  let text = own;
  let local = false;
  for (const line of own.split(/\r?\n/)) {
    const [, nested] = /^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)/.exec(line) ?? [];
    if (nested !== undefined) {
      const inner = await wholeText(resolve(dirname(file), nested), seen);
      text += `\n${inner.text}`;
      local ||= inner.local;
    } else if (/^\s*(?:\.{1,2}(?:\/|$)|\/|file:|-e\b|--editable\b)|@\s*(?:file:|\.|\/)|^\s*\S+\.(?:whl|tar\.gz|zip)\s*$/.test(line))
      local = true;
  }
  return { text, local };
}

async function entriesOf(folder: string): Promise<ArtifactEntry[]> {
  return await filesOfFolder(folder, {
    under: '.packages',
    filesMax: ARCHIVE_LIMITS.filesMax,
    // Scripts begin with this machine's Python, and direct_url.json names this machine's paths.
    skip: (path) => path === 'bin' || basename(path) === '__pycache__' || basename(path) === 'direct_url.json',
    linksOutside: 'skip',
  });
}

/** For a folder that is about to go: with the bytes of its files. Local packages are small. */
async function entriesWithContent(folder: string): Promise<ArtifactEntry[]> {
  const entries = await entriesOf(folder);
  return await Promise.all(
    entries.map(async (entry) =>
      'file' in entry ? { path: entry.path, executable: entry.executable ?? false, content: await readFile(entry.file) } : entry,
    ),
  );
}

async function prune(parent: string): Promise<void> {
  const folders: { path: string; usedAt: number }[] = [];
  for (const name of await readdir(parent)) {
    const found = await stat(join(parent, name)).catch(() => undefined);
    if (found !== undefined) folders.push({ path: join(parent, name), usedAt: found.mtimeMs });
  }
  folders.sort((a, b) => b.usedAt - a.usedAt);
  for (const [index, { path, usedAt }] of folders.entries()) {
    if (index >= KEPT_MAX || Date.now() - usedAt > KEPT_MS) await rm(path, { recursive: true, force: true });
  }
}
