import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { migrate as migrateWith } from './migrate.ts';
import { startTestPostgres } from './testing.ts';
import type { TestPostgres } from './testing.ts';

let postgres: TestPostgres;
let folder: string;
/** Of the next migration. */
let next: string;
before(async () => {
  postgres = await startTestPostgres();
  folder = await mkdtemp(join(tmpdir(), 'virga-migrations-'));
  await cp(join(import.meta.dirname, 'migrations'), folder, { recursive: true });
  next = `${String((await readdir(folder)).length + 1).padStart(4, '0')}-more.sql`;
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** On a connection of its own, as the supervisor does it. */
async function migrate(connection: pg.ClientConfig, from?: string): Promise<string[]> {
  const client = new pg.Client(connection);
  await client.connect();
  try {
    return (await migrateWith(client, from)).applied;
  } finally {
    await client.end();
  }
}

/** The next migration: one more than there are. */
async function addMigration(sql: string): Promise<string> {
  await writeFile(join(folder, next), sql);
  return next;
}

test('a migrated database is left alone, and a new migration is applied once', async () => {
  await using database = await postgres.database();
  assert.deepEqual(await migrate(database.connection), []);
  const name = await addMigration('create table more (x integer);');
  assert.deepEqual(await migrate(database.connection, folder), [name]);
  assert.deepEqual(await migrate(database.connection, folder), []);
  await database.records.query('insert into more values (1)');
});

test('a database with a migration that this Virga does not know is refused as newer, with the remedy', async () => {
  await using database = await postgres.database();
  await addMigration('create table more (x integer);');
  await migrate(database.connection, folder);
  await assert.rejects(migrate(database.connection), {
    name: 'MigrationError',
    message: new RegExp(`newer than this Virga.*${next}.*--data`),
  });
});

test('a migration that fails leaves nothing of itself', async () => {
  await using database = await postgres.database();
  await addMigration('create table half (x integer); select broken from nowhere;');
  await assert.rejects(migrate(database.connection, folder), { name: 'MigrationError', message: new RegExp(`${next}.*nowhere`) });
  const { rowCount } = await database.records.query(`select 1 from pg_tables where tablename = 'half'`);
  assert.equal(rowCount, 0);
});

test('a migration that was applied with another text is refused', async () => {
  await using database = await postgres.database();
  await addMigration('create table more (x integer);');
  await migrate(database.connection, folder);
  await addMigration('create table more (x bigint);');
  await assert.rejects(migrate(database.connection, folder), { name: 'MigrationError', message: /another text/ });
});

test('of several that migrate at once each migration is applied by one', async () => {
  await using database = await postgres.database();
  const name = await addMigration('create table more (x integer);');
  const applied = await Promise.all([1, 2, 3].map(() => migrate(database.connection, folder)));
  assert.deepEqual(applied.flat(), [name]);
});
