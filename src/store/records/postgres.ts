// The records port on PostgreSQL through `pg`: a pool, transactions, and where the server is.
// Invariants: a transaction is committed whole or rolled back, and its connection goes back to the pool clean, or not at all;
// a server that goes away fails the queries under way and never the process; every wait has a bound. Errors are pg's own,
// with their SQLSTATE in `code`. Callers: profiles/embedded.ts, which wires it into the roles.
import pg from 'pg';
import type { Records, Sql } from './records.ts';

/** Name of the database and of its owner. */
export const DATABASE = 'virga';

const CONNECT_TIMEOUT_MS = 5_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const IDLE_IN_TRANSACTION_MS = 60_000;

/** The embedded server listens on a socket in the run folder; an external one is reached by its URL. */
export function postgresConnection(where: { postgresUrl: string | null; runFolder: string }): pg.ClientConfig {
  const shared = { application_name: 'virga', connectionTimeoutMillis: CONNECT_TIMEOUT_MS };
  // Keep-alive tells that a server on another machine is gone without a word.
  if (where.postgresUrl !== null) return { ...shared, connectionString: where.postgresUrl, keepAlive: true };
  // All that pg would otherwise take from PGUSER, PGPASSWORD, PGSSLMODE… is given: the environment decides nothing here.
  return { ...shared, host: where.runFolder, port: 5432, user: DATABASE, database: DATABASE, password: '', ssl: false };
}

export class PostgresRecords implements Records, AsyncDisposable {
  readonly pool: pg.Pool;

  constructor(connection: pg.ClientConfig, options: { connectionsMax: number; statementTimeoutMs?: number }) {
    this.pool = new pg.Pool({
      ...connection,
      max: options.connectionsMax,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: 30_000,
      statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    });
    // A connection that breaks while it is idle is replaced on the next use; without a listener it would end the process.
    this.pool.on('error', () => {});
  }

  async query<R>(text: string, values?: unknown[]): Promise<{ rows: R[]; rowCount: number | null }> {
    const { rows, rowCount } = await this.pool.query(text, values);
    return { rows: rows as R[], rowCount };
  }

  async transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    // The same for a connection that breaks between two queries: the next query fails with it.
    const onError = (): void => {};
    client.on('error', onError);
    let broken: Error | undefined;
    try {
      await client.query('begin');
      const result = await work(client);
      // When a statement failed and `work` swallowed that, COMMIT succeeds and answers ROLLBACK.
      const { command } = await client.query('commit');
      if (command !== 'COMMIT') throw new Error('the transaction was rolled back, because one of its statements had failed');
      return result;
    } catch (error) {
      await client.query('rollback').catch((failed: Error) => (broken = failed));
      throw error;
    } finally {
      client.release(broken);
      // One that is given up may still say that its socket broke: with nobody to hear it, that would end the process.
      if (broken === undefined) client.off('error', onError);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.pool.ending) await this.pool.end();
  }
}
