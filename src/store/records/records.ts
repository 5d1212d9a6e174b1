// The records port: SQL on PostgreSQL, as little of it as the rest of Virga needs to know. There is one dialect, so the
// port is SQL itself; who owns a table (control, observe) writes its queries. `pg`'s Pool and Client are `Sql` as they are.
// Invariant: what runs in a transaction is committed as a whole or not at all.

export interface Sql {
  query<R>(text: string, values?: unknown[]): Promise<{ rows: R[]; rowCount: number | null }>;
}

export interface Records extends Sql {
  /** Runs `work` in one transaction (read committed) and commits it; a throw rolls it back and is passed on. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
}
