// The records port on PostgreSQL through `pg`: a pool, transactions, and where the server is.
// Invariant: a transaction is committed whole or rolled back, and its connection goes back to the pool clean, or not at all.
// Callers: profiles/embedded.ts, which wires it into the roles.
import pg from 'pg';
import type { Records, Sql } from './records.ts';

/** Name of the database and of its owner. */
export const DATABASE = 'virga';

/** The embedded server listens on a socket in the run folder; an external one is reached by its URL. */
export function postgresConnection(where: { postgresUrl: string | null; runFolder: string }): pg.ClientConfig {
  if (where.postgresUrl !== null) return { connectionString: where.postgresUrl, application_name: 'virga' };
  return { host: where.runFolder, port: 5432, user: DATABASE, database: DATABASE, application_name: 'virga' };
}

export class PostgresRecords implements Records, AsyncDisposable {
  readonly pool: pg.Pool;

  constructor(connection: pg.ClientConfig, options: { connectionsMax: number }) {
    this.pool = new pg.Pool({ ...connection, max: options.connectionsMax, connectionTimeoutMillis: 5_000, idleTimeoutMillis: 30_000 });
    // A connection that breaks while it is idle is replaced on the next use; without a listener it would end the process.
    this.pool.on('error', () => {});
  }

  async query<R>(text: string, values?: unknown[]): Promise<{ rows: R[]; rowCount: number | null }> {
    const { rows, rowCount } = await this.pool.query(text, values);
    return { rows: rows as R[], rowCount };
  }

  async transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(client);
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((failed: Error) => (broken = failed));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.end();
  }
}
