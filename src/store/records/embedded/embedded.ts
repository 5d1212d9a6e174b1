// The embedded Postgres from nothing to serving: finds the programs, creates the cluster at the first start, starts the
// server, sees to the database `virga`. Invariant: an existing cluster is only ever opened with its own major version.
// Callers: server/postgres.ts (which restarts it) and testing.ts.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { postgresConnection } from '../postgres.ts';
import { findBinaries } from './binaries.ts';
import type { PostgresBinaries } from './binaries.ts';
import { createCluster } from './create.ts';
import { PostgresServer } from './server.ts';
import { chooseWalls, handOver } from './walls.ts';
import type { Walls } from './walls.ts';

export interface EmbeddedOptions {
  /** The cluster's folder; the lock is the file `<cluster>.lock` beside it. */
  cluster: string;
  socketFolder: string;
  onLog: (severity: string, text: string) => void;
  fsync?: boolean;
  /** Without bubblewrap, for tests of that way. */
  direct?: boolean;
}

export interface EmbeddedPostgres {
  binaries: PostgresBinaries;
  walls: Walls['kind'];
  created: boolean;
  /** Starts the server; also again after it ended. */
  start(): Promise<PostgresServer>;
}

/** Fails with VirgaError `unavailable` or `disk_full`. */
export async function prepareEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { cluster, socketFolder, onLog } = options;
  const fsync = options.fsync ?? true;
  const major = await majorOf(cluster);
  const binaries = await findBinaries(major);
  const lockFile = `${cluster}.lock`;
  const walls = await chooseWalls({ programs: binaries.folder, lockFile, ...(options.direct === true && { direct: true }) });
  if (major === undefined) await createCluster(cluster, { binaries, walls, sync: fsync, lockFile, socketFolder });
  return {
    binaries,
    walls: walls.kind,
    created: major === undefined,
    start: async () => {
      if (walls.kind === 'direct') await handOver({ cluster, sockets: socketFolder });
      const server = await PostgresServer.start({ cluster, lockFile, socketFolder, binaries, walls, fsync, onLog });
      try {
        await ensureDatabase(socketFolder);
      } catch (error) {
        await server.stop();
        throw error;
      }
      return server;
    },
  };
}

/** undefined: there is no cluster yet. */
async function majorOf(cluster: string): Promise<number | undefined> {
  try {
    return Number.parseInt(await readFile(join(cluster, 'PG_VERSION'), 'utf8'), 10);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function ensureDatabase(socketFolder: string): Promise<void> {
  const client = new pg.Client({ ...postgresConnection({ runFolder: socketFolder, postgresUrl: null }), database: 'postgres' });
  await client.connect();
  try {
    const { rows } = await client.query(`select 1 from pg_database where datname = 'virga'`);
    if (rows.length === 0) await client.query('create database virga');
  } finally {
    await client.end();
  }
}
