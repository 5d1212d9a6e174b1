// A real Postgres for tests: one server per test file (0.6 s; half of it in `npm test`, which brings a cluster), a fresh migrated
// database per call from a template (about 20 ms). Use: `await using postgres = await startTestPostgres(); await using db = await
// postgres.database();` then `db.records` (the records port) and `db.connection` (for pg). Nothing is left behind. Not part of
// the product.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { prepareEmbedded } from './embedded/embedded.ts';
import { migrate } from './migrate.ts';
import { DATABASE, PostgresRecords } from './postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  connection: pg.ClientConfig;
  records: PostgresRecords;
}

export interface TestPostgres extends AsyncDisposable {
  /** The server's socket folder. */
  runFolder: string;
  folder: string;
  database(): Promise<TestDatabase>;
}

export async function startTestPostgres(): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'virga-pg-'));
  const runFolder = join(folder, 'run');
  await mkdir(runFolder, { mode: 0o700 });
  const started = join(tmpdir(), 'virga-started', 'postgres');
  if (existsSync(started)) await promisify(execFile)('cp', ['--archive', started, folder]);
  const embedded = await prepareEmbedded({ cluster: join(folder, 'postgres'), socketFolder: runFolder, onLog: () => {}, fsync: false });
  const server = await embedded.start();
  const base = { host: runFolder, port: 5432, user: DATABASE };
  const client = new pg.Client({ ...base, database: DATABASE });
  await client.connect();
  await migrate(client);
  await client.end();
  const admin = new pg.Client({ ...base, database: 'postgres' });
  await admin.connect();
  let count = 0;
  return {
    folder,
    runFolder,
    database: async () => {
      const name = `test_${++count}`;
      await admin.query(`create database ${name} template ${DATABASE} strategy file_copy`);
      const connection = { ...base, database: name };
      const records = new PostgresRecords(connection, { connectionsMax: 10 });
      return {
        connection,
        records,
        [Symbol.asyncDispose]: async () => {
          await records[Symbol.asyncDispose]();
          await admin.query(`drop database ${name} with (force)`);
        },
      };
    },
    [Symbol.asyncDispose]: async () => {
      await admin.end().catch(() => {});
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
