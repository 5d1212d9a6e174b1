import assert from 'node:assert/strict';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { migrate } from './migrate.ts';
import { startTestPostgres } from './testing.ts';
import type { TestPostgres } from './testing.ts';

let postgres: TestPostgres;
let folder: string;
before(async () => {
  postgres = await startTestPostgres();
  folder = await mkdtemp(join(tmpdir(), 'virga-migrations-'));
  await cp(join(import.meta.dirname, 'migrations'), folder, { recursive: true });
});
after(async () => {
  await postgres[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function withClient(work: (client: pg.Client) => Promise<void>): Promise<void> {
  await using database = await postgres.database();
  const client = new pg.Client(database.connection);
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

test('a migrated database is left alone, a new migration is applied once', async () => {
  await withClient(async (client) => {
    assert.deepEqual((await migrate(client)).applied, []);
    await writeFile(join(folder, '0002-more.sql'), 'create table more (x integer);');
    assert.deepEqual((await migrate(client, folder)).applied, ['0002-more.sql']);
    assert.deepEqual((await migrate(client, folder)).applied, []);
    await client.query('insert into more values (1)');
    // This Virga does not know 0002: the data folder is newer than it.
    await assert.rejects(migrate(client), /newer than this Virga.*0002-more/);
  });
});

test('a migration that fails leaves nothing of itself', async () => {
  await withClient(async (client) => {
    await writeFile(join(folder, '0002-more.sql'), 'create table half (x integer); select broken from nowhere;');
    await assert.rejects(migrate(client, folder), /0002-more.*nowhere/);
    const { rowCount } = await client.query(`select 1 from pg_tables where tablename = 'half'`);
    assert.equal(rowCount, 0);
  });
});

test('a migration that was applied with another text is refused', async () => {
  await withClient(async (client) => {
    await writeFile(join(folder, '0002-more.sql'), 'create table more (x integer);');
    await migrate(client, folder);
    await writeFile(join(folder, '0002-more.sql'), 'create table more (x bigint);');
    await assert.rejects(migrate(client, folder), /another text/);
  });
});

test('two that migrate at once do it once', async () => {
  await using database = await postgres.database();
  await writeFile(join(folder, '0002-more.sql'), 'create table more (x integer);');
  const clients = [new pg.Client(database.connection), new pg.Client(database.connection)];
  await Promise.all(clients.map((client) => client.connect()));
  const results = await Promise.all(clients.map((client) => migrate(client, folder)));
  assert.deepEqual(results.flatMap(({ applied }) => applied), ['0002-more.sql']);
  await Promise.all(clients.map((client) => client.end()));
});
