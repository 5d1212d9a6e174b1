import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { PostgresRecords } from './postgres.ts';
import { startTestPostgres } from './testing.ts';
import type { TestPostgres } from './testing.ts';

let postgres: TestPostgres;
before(async () => {
  postgres = await startTestPostgres();
});
after(() => postgres[Symbol.asyncDispose]());

test('a transaction is visible to others once it is committed, and as a whole', async () => {
  await using database = await postgres.database();
  const { records } = database;
  await records.transaction(async (sql) => {
    await sql.query(`insert into projects (name) values ('a')`);
    await sql.query(`insert into projects (name) values ('b')`);
    assert.equal((await records.query('select 1 from projects')).rowCount, 0);
  });
  assert.equal((await records.query('select 1 from projects')).rowCount, 2);
});

test('a throw rolls the transaction back, is passed on, and the connection is used again', async () => {
  await using database = await postgres.database();
  await using records = new PostgresRecords(database.connection, { connectionsMax: 1 });
  const thrown = new Error('no');
  await assert.rejects(
    records.transaction(async (sql) => {
      await sql.query(`insert into projects (name) values ('a')`);
      throw thrown;
    }),
    thrown,
  );
  assert.equal((await records.query('select 1 from projects')).rowCount, 0);
  assert.equal(records.pool.totalCount, 1);
});

test('a transaction whose failed statement was swallowed is not reported as committed', async () => {
  await using database = await postgres.database();
  const { records } = database;
  await assert.rejects(
    records.transaction(async (sql) => {
      await sql.query(`insert into projects (name) values ('a')`);
      await sql.query('select nothing from nowhere').catch(() => {});
    }),
    /rolled back/,
  );
  assert.equal((await records.query('select 1 from projects')).rowCount, 0);
});

test('errors keep their SQLSTATE', async () => {
  await using database = await postgres.database();
  await database.records.query(`insert into projects (name) values ('a')`);
  await assert.rejects(database.records.query(`insert into projects (name) values ('a')`), { code: '23505' });
});

test('a statement that takes too long is stopped', async () => {
  await using database = await postgres.database();
  await using records = new PostgresRecords(database.connection, { connectionsMax: 1, statementTimeoutMs: 50 });
  await assert.rejects(records.query('select pg_sleep(10)'), { code: '57014' });
});

test('a server that goes away between two queries of a transaction fails the transaction and nothing else', async () => {
  await using database = await postgres.database();
  const { records } = database;
  await assert.rejects(
    records.transaction(async (sql) => {
      const { rows } = await sql.query<{ pid: number }>('select pg_backend_pid() as pid');
      // `sql` is pg's own client: its event says when the connection has broken.
      const broke = once(sql as never, 'error').catch(() => {});
      await records.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      await broke;
      await sql.query('select 1');
    }),
  );
  assert.equal((await records.query('select 1')).rowCount, 1);
});
