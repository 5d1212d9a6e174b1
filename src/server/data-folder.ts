// The data folder: made, checked, and held by one Virga at a time.
// Invariant: the lock is a listening socket in Linux's abstract namespace, so the kernel drops it with the process that
// holds it, however that ends: no stale lock, no guessing by process id. Called by supervisor.ts first of all.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmod, lstat, mkdir, readFile, realpath, statfs, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { StartError } from './start-error.ts';

/** Layout of the folder that this version of Virga reads and writes. */
export const LAYOUT = 1;
/** Less free space than this and Postgres could not even start safely, bytes. */
const FREE_BYTES_MIN = 64 * 1024 * 1024;
const ASK_TIMEOUT_MS = 500;

export interface DataFolder {
  release(): Promise<void>;
}

export async function openDataFolder(config: { dataFolder: string; runFolder: string }): Promise<DataFolder> {
  const { dataFolder, runFolder } = config;
  try {
    await mkdir(dataFolder, { recursive: true, mode: 0o700 });
    await mkdir(runFolder, { recursive: true, mode: 0o700 });
    await checkOwner(runFolder);
    await chmod(dataFolder, 0o700);
    await chmod(runFolder, 0o700);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw folderError(dataFolder, error);
  }
  const lock = await takeLock(dataFolder);
  try {
    await checkSpace(dataFolder);
    await checkLayout(dataFolder);
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    release: async () => {
      const closed = once(lock, 'close');
      lock.close();
      await closed;
    },
  };
}

/**
 * The run folder may lie in /tmp, where anybody can make a folder of that name first, and who owns the folder can reach
 * every socket in it: Postgres and the launcher trust whoever comes that way.
 */
async function checkOwner(runFolder: string): Promise<void> {
  const found = await lstat(runFolder);
  if (found.isDirectory() && found.uid === process.getuid?.()) return;
  throw new StartError(
    `the run folder ${runFolder} belongs to user ${found.uid}, who could reach the sockets in it; remove it, or start with a shorter --data (VIRGA_DATA)`,
  );
}

async function takeLock(dataFolder: string): Promise<Server> {
  const name = `\0virga-${createHash('sha256')
    .update(await realpath(dataFolder))
    .digest('hex')
    .slice(0, 32)}`;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(String(process.pid));
  });
  try {
    const listening = once(server, 'listening');
    server.listen(name);
    await listening;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const holder = await askHolder(name);
    throw new StartError(
      `another Virga${holder} already runs on the data folder ${dataFolder}; stop it, or start this one with another --data (VIRGA_DATA)`,
    );
  }
  // The lock alone must not keep a process alive.
  server.unref();
  return server;
}

/** ` (process 123)`, or nothing when the holder does not answer. */
async function askHolder(name: string): Promise<string> {
  const socket = connect(name);
  socket.setTimeout(ASK_TIMEOUT_MS, () => socket.destroy());
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  socket.on('error', () => {});
  await once(socket, 'close');
  return /^\d+$/.test(text) ? ` (process ${text})` : '';
}

async function checkSpace(dataFolder: string): Promise<void> {
  const disk = await statfs(dataFolder);
  const free = disk.bavail * disk.bsize;
  if (free < FREE_BYTES_MIN) {
    throw new StartError(
      `the disk with the data folder ${dataFolder} is full: ${Math.floor(free / 1024 / 1024)} MiB are free, at least ${FREE_BYTES_MIN / 1024 / 1024} MiB are needed; free some space, or start with another --data`,
    );
  }
}

async function checkLayout(dataFolder: string): Promise<void> {
  const file = join(dataFolder, 'VERSION');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw folderError(dataFolder, error);
    try {
      await writeFile(file, `${LAYOUT}\n`);
    } catch (failed) {
      throw folderError(dataFolder, failed);
    }
    return;
  }
  const layout = Number(text.trim());
  if (!Number.isInteger(layout) || layout < 1) {
    throw new StartError(
      `${file} says '${text.trim().slice(0, 40)}', which is no layout of a Virga data folder: it is damaged, or too old for this version. Restore it from a backup, or start with another --data`,
    );
  }
  if (layout > LAYOUT) {
    throw new StartError(
      `the data folder ${dataFolder} has layout ${layout}, this Virga knows up to ${LAYOUT}: it is too new. Install the version of Virga that made it, or start with another --data`,
    );
  }
  if (layout < LAYOUT) {
    throw new StartError(
      `the data folder ${dataFolder} has layout ${layout}, this Virga needs ${LAYOUT}: it is too old. Start it once with the version between, or start with another --data`,
    );
  }
}

function folderError(dataFolder: string, error: unknown): StartError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why =
    code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
      ? 'it cannot be written; give this user the right to, or start with another --data (VIRGA_DATA)'
      : code === 'ENOSPC'
        ? 'its disk is full; free some space, or start with another --data (VIRGA_DATA)'
        : code === 'ENOTDIR' || code === 'EEXIST'
          ? 'there is a file where the folder should be; start with another --data (VIRGA_DATA)'
          : message;
  return new StartError(`the data folder ${dataFolder} cannot be used: ${why}`, { cause: error });
}
