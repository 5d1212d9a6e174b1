// Writes one batch of records and log lines into PostgreSQL: COPY for both tables, in one transaction. Invariant: the batch
// is there as a whole or not at all, and writing it again changes nothing. Called by batch-recorder.ts, one at a time.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { CopyRows } from './copy-rows.ts';
import { INVOCATION_COLUMNS, LOG_COLUMNS } from './copy-text.ts';

export interface Batch {
  records: CopyRows;
  lines: CopyRows;
}

const UNIQUE_VIOLATION = '23505';

// A crash of Postgres may lose the last fraction of a second of records. Waiting for the disk would cost a flush of the
// log five times a second on a nearly idle node, and nothing was promised to anybody about a record yet.
const BEGIN = 'begin; set local synchronous_commit = off';

/**
 * Throws what `pg` throws; the client is of no use afterwards. `again`: an earlier try may have been committed without an
 * answer, or some ids exist; then the rows that are already there are left as they are.
 */
export async function writeBatch(client: pg.Client, batch: Batch, { again }: { again: boolean }): Promise<void> {
  await client.query(BEGIN);
  if (batch.records.rows > 0) await copy(client, batch.records, { table: 'invocations', columns: INVOCATION_COLUMNS, again });
  if (batch.lines.rows > 0) await copy(client, batch.lines, { table: 'log_lines', columns: LOG_COLUMNS, again });
  await client.query('commit');
}

export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === UNIQUE_VIOLATION;
}

async function copy(
  client: pg.Client,
  rows: CopyRows,
  { table, columns, again }: { table: string; columns: string; again: boolean },
): Promise<void> {
  if (again) await client.query(`create temporary table staged_${table} (like ${table}) on commit drop`);
  const target = client.query(copyFrom(`copy ${again ? 'staged_' : ''}${table} (${columns}) from stdin`));
  await pipeline(Readable.from(rows.chunks()), target);
  if (again) {
    await client.query(`insert into ${table} (${columns}) select ${columns} from staged_${table} order by id on conflict (id) do nothing`);
  }
}
