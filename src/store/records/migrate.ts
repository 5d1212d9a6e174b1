// Brings the database's schema to this version of Virga: numbered SQL files, each applied once, in order, in a transaction.
// Invariant: a database is never half migrated, never migrated by two at once, and never used by a Virga that is older than
// it. Callers: server/supervisor.ts before any role starts; testing.ts.
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';

interface Migration {
  number: number;
  name: string;
  sql: string;
  hash: string;
}

/** Why the database cannot be used as it is. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

const MIGRATIONS = join(import.meta.dirname, 'migrations');
/** Advisory lock that one migrating Virga holds: the bytes of "virga". */
const LOCK = 0x7669726761;
/** `numeric_version_num` of the oldest server that the SQL was written for. */
const SERVER_VERSION_MIN = 140_000;

export async function migrate(client: pg.ClientBase, folder: string = MIGRATIONS): Promise<{ applied: string[] }> {
  const server = await client.query<{ version: number }>(`select current_setting('server_version_num')::integer as version`);
  const serverVersion = server.rows[0]!.version;
  if (serverVersion < SERVER_VERSION_MIN) {
    throw new MigrationError(
      `PostgreSQL ${Math.floor(serverVersion / 10_000)} is too old: Virga needs 14 or later; upgrade it, or leave VIRGA_POSTGRES_URL out to use the embedded one`,
    );
  }
  const migrations = await readMigrations(folder);
  await client.query('select pg_advisory_lock($1)', [LOCK]);
  try {
    await client.query(
      'create table if not exists schema_migrations (number integer primary key, name text not null, hash text not null, applied_at timestamptz not null default now())',
    );
    const { rows } = await client.query<{ number: number; name: string; hash: string }>(
      'select number, name, hash from schema_migrations order by number',
    );
    checkHistory(rows, migrations);
    const applied: string[] = [];
    for (const migration of migrations.slice(rows.length)) {
      await apply(client, migration);
      applied.push(migration.name);
    }
    return { applied };
  } finally {
    await client.query('select pg_advisory_unlock($1)', [LOCK]).catch(() => {});
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).toSorted();
  return Promise.all(
    names.map(async (name, i) => {
      const number = Number(name.slice(0, 4));
      if (number !== i + 1) throw new MigrationError(`the migration ${name} is out of order: number ${i + 1} is due`);
      const sql = await readFile(join(folder, name), 'utf8');
      return { number, name, sql, hash: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

function checkHistory(rows: { number: number; name: string; hash: string }[], migrations: Migration[]): void {
  for (const row of rows) {
    const known = migrations[row.number - 1];
    if (known === undefined) {
      throw new MigrationError(
        `the data folder is newer than this Virga: its database has the migration ${row.name}, which this version does not know. Install the version of Virga that made it, or start with another --data`,
      );
    }
    if (known.hash !== row.hash) {
      throw new MigrationError(
        `the migration ${row.name} was applied with another text than this version of Virga has. Install the version that made the data folder, or start with another --data`,
      );
    }
  }
}

async function apply(client: pg.ClientBase, migration: Migration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(migration.sql);
    await client.query('insert into schema_migrations (number, name, hash) values ($1, $2, $3)', [
      migration.number,
      migration.name,
      migration.hash,
    ]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw new MigrationError(`the migration ${migration.name} failed: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
