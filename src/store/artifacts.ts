// Unpacked artifacts: `<folder>/<sha256>/`, made once from the blob (a gzip'd tar) and never changed.
// Invariant: a folder under its final name is complete, holds only regular files, folders and links that stay inside, and
// is readable by any uid; no entry is ever written outside of it, whatever the archive says. Unpacked aside under a name
// with our pid, then renamed; a crash leaves only that (abandoned.ts).
// Callers: control at upload, server/launcher.ts when the folder is absent.
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { join, posix, sep } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { VirgaError } from '../protocol/errors.ts';
import { SHA256_PATTERN } from '../protocol/settings.ts';
import type { Blobs } from './blobs/blobs.ts';

export interface ArtifactLimits {
  artifactUnpackedBytesMax: number;
  artifactFilesMax: number;
}

const NAME_BYTES_MAX = 1_024;
/** What tar may add to an entry's bytes: its header, its padding, and a long name with those of its own. */
const OVERHEAD_PER_ENTRY = 4 * 512 + 2 * NAME_BYTES_MAX;

export class ArtifactFolders {
  readonly #folder: string;
  readonly #blobs: Blobs;
  readonly #limits: ArtifactLimits;
  readonly #compiledFolder: string;
  readonly #unpacking = new Map<string, Promise<string>>();

  /** `compiledFolder`: what compiled.ts makes of artifacts goes with them. */
  constructor(options: { folder: string; compiledFolder: string; blobs: Blobs; limits: ArtifactLimits }) {
    this.#folder = options.folder;
    this.#compiledFolder = options.compiledFolder;
    this.#blobs = options.blobs;
    this.#limits = options.limits;
  }

  /**
   * The folder with the artifact's files, unpacked now if need be. Fails with VirgaError: `artifact_not_found`,
   * `artifact_invalid` (names the entry), `artifact_too_large`, `disk_full`.
   */
  async ensure(sha256: string): Promise<string> {
    if (!SHA256_PATTERN.test(sha256)) throw new VirgaError('artifact_invalid', `'${sha256}' is not a sha256: 64 lower-case hex digits`);
    const target = join(this.#folder, sha256);
    if (existsSync(target)) return target;
    let unpacking = this.#unpacking.get(sha256);
    if (unpacking === undefined) {
      unpacking = this.#unpack(sha256, target).finally(() => this.#unpacking.delete(sha256));
      this.#unpacking.set(sha256, unpacking);
    }
    return unpacking;
  }

  async remove(sha256: string): Promise<void> {
    if (!SHA256_PATTERN.test(sha256)) return;
    for (const folder of [this.#folder, this.#compiledFolder]) await rm(join(folder, sha256), { recursive: true, force: true });
  }

  async #unpack(sha256: string, target: string): Promise<string> {
    const source = await this.#blobs.read(sha256);
    await mkdir(this.#folder, { recursive: true });
    const aside = await mkdtemp(join(this.#folder, `.unpacking-${process.pid}-`));
    try {
      await unpackTar(source, aside, this.#limits);
      await chmod(aside, 0o755);
      await rename(aside, target);
    } catch (error) {
      await rm(aside, { recursive: true, force: true });
      // Another process was faster with the same bytes.
      if (existsSync(target)) return target;
      throw asVirgaError(error, sha256);
    }
    return target;
  }
}

/** Unpacks a gzip'd tar into an empty folder. Throws VirgaError on anything that is not allowed in an artifact. */
async function unpackTar(source: Readable, folder: string, limits: ArtifactLimits): Promise<void> {
  const entries = new Entries(folder, limits);
  const archive = extract();
  let archiveBytes = 0;
  // The bytes inside an archive of n bytes have no bound but this one: a megabyte of gzip may hold a gigabyte.
  const archiveBytesMax = limits.artifactUnpackedBytesMax + (limits.artifactFilesMax + 2) * OVERHEAD_PER_ENTRY;
  const bound = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      archiveBytes += chunk.length;
      done(archiveBytes > archiveBytesMax ? tooLarge(limits) : null, chunk);
    },
  });
  const read = async (): Promise<void> => {
    for await (const entry of archive) {
      await entries.add(entry.header, entry);
      entry.resume();
    }
  };
  // When one side fails the other breaks off with it; what counts is the first cause, and ours before zlib's.
  const failures: unknown[] = [];
  const remember = (error: unknown): unknown => failures.push(error);
  await Promise.all([pipeline(source, createGunzip(), bound, archive).catch(remember), read().catch(remember)]);
  if (failures.length > 0) throw failures.find((error) => error instanceof VirgaError) ?? failures[0];
  await entries.checkLinks();
}

/** What tar-stream yields for an entry; its types leave the element open. */
type Contents = AsyncIterable<unknown>;

class Entries {
  readonly #folder: string;
  readonly #limits: ArtifactLimits;
  readonly #made = new Map<string, 'folder' | 'file' | 'link'>([['.', 'folder']]);
  #bytes = 0;

  constructor(folder: string, limits: ArtifactLimits) {
    this.#folder = folder;
    this.#limits = limits;
  }

  async add(header: Header, content: Contents): Promise<void> {
    const name = checkedName(header.name);
    if (name === '.') return;
    const path = join(this.#folder, name);
    await this.#makeFolders(posix.dirname(name));
    if (header.type === 'directory') {
      if (this.#made.get(name) !== 'folder') await this.#makeFolder(name);
      return;
    }
    this.#register(name, header.type === 'symlink' ? 'link' : 'file');
    if (header.type === 'symlink') {
      await symlink(checkedLink(name, header.linkname ?? ''), path);
    } else if (header.type === 'file' || header.type === 'contiguous-file') {
      await this.#write(path, header.mode ?? 0, content);
    } else {
      throw invalid(name, `is a ${header.type}; only files, folders and symbolic links are allowed`);
    }
  }

  /** A chain of links can leave the folder though each of them looks as if it stayed: ask the file system. */
  async checkLinks(): Promise<void> {
    const root = await realpath(this.#folder);
    for (const [name, kind] of this.#made) {
      if (kind !== 'link') continue;
      const path = join(this.#folder, name);
      const real = await realpath(path).catch(() => null);
      const target = await readlink(path);
      if (real === null) throw invalid(name, `links to '${target}', which is not in the artifact`);
      if (real !== root && !real.startsWith(root + sep)) throw invalid(name, `links to '${target}', outside of the artifact`);
    }
  }

  async #makeFolders(name: string): Promise<void> {
    const kind = this.#made.get(name);
    if (kind === 'folder') return;
    if (kind !== undefined) throw invalid(name, `is a ${kind}, yet has entries below it`);
    await this.#makeFolders(posix.dirname(name));
    await this.#makeFolder(name);
  }

  async #makeFolder(name: string): Promise<void> {
    this.#register(name, 'folder');
    const path = join(this.#folder, name);
    await mkdir(path);
    await chmod(path, 0o755);
  }

  #register(name: string, kind: 'folder' | 'file' | 'link'): void {
    if (this.#made.has(name)) throw invalid(name, 'is in the archive twice');
    if (this.#made.size > this.#limits.artifactFilesMax) {
      throw new VirgaError(
        'artifact_too_large',
        `the artifact has more than ${this.#limits.artifactFilesMax} files, the most that this server takes`,
      );
    }
    this.#made.set(name, kind);
  }

  async #write(path: string, mode: number, content: Contents): Promise<void> {
    // 'wx': never through something that is already there.
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of content as AsyncIterable<Uint8Array>) {
        this.#bytes += chunk.length;
        if (this.#bytes > this.#limits.artifactUnpackedBytesMax) throw tooLarge(this.#limits);
        for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
      }
      await file.chmod((mode & 0o111) === 0 ? 0o644 : 0o755);
    } finally {
      await file.close();
    }
  }
}

/** The entry's name relative to the artifact's folder, normalized. */
function checkedName(name: string): string {
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw invalid(`${name.slice(0, 60)}…`, `has a name of more than ${NAME_BYTES_MAX} bytes`);
  if (name.includes('\0')) throw invalid(name.replaceAll('\0', '\\0'), 'has a zero byte in its name');
  const normal = posix.normalize(name).replace(/\/$/, '');
  if (posix.isAbsolute(normal) || normal === '..' || normal.startsWith('../')) throw invalid(name, 'is outside of the artifact');
  return normal;
}

function checkedLink(name: string, target: string): string {
  const landing = posix.normalize(posix.join(posix.dirname(name), target));
  if (target === '' || posix.isAbsolute(target) || landing === '..' || landing.startsWith('../')) {
    throw invalid(name, `links to '${target}', outside of the artifact`);
  }
  return target;
}

function invalid(name: string, problem: string): VirgaError {
  return new VirgaError('artifact_invalid', `the entry '${name}' of the artifact ${problem}`);
}

function tooLarge(limits: ArtifactLimits): VirgaError {
  return new VirgaError(
    'artifact_too_large',
    `the artifact has more than ${limits.artifactUnpackedBytesMax} bytes when unpacked, the most that this server takes`,
  );
}

function asVirgaError(error: unknown, sha256: string): unknown {
  if (error instanceof VirgaError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new VirgaError('disk_full', 'the disk is full; the artifact was not unpacked. Free some space.', { cause: error });
  if (code?.startsWith('Z_') || code === undefined) {
    return new VirgaError('artifact_invalid', `the artifact ${sha256} is not a gzip'd tar: ${message}`, { cause: error });
  }
  return error;
}
