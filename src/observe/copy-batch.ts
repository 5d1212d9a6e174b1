// Writes one batch of records and log lines into PostgreSQL: COPY for both tables, in one transaction. Invariant: the batch
// is there as a whole or not at all, and writing it again changes nothing. The event loop is never held for longer than
// one slice takes to encode (about 0.3 ms). Called by batch-recorder.ts, one batch at a time.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { InvocationRecord, LogLine } from '../protocol/invocation.ts';
import { INVOCATION_COLUMNS, LOG_COLUMNS, invocationRow, logRow } from './copy-text.ts';

export interface Batch {
  records: InvocationRecord[];
  lines: LogLine[];
  /** Estimated. */
  bytes: number;
}

const SLICE_LENGTH = 32 * 1024;
const UNIQUE_VIOLATION = '23505';

// A crash of Postgres may lose the last fraction of a second of records. Waiting for the disk would cost a flush of the
// log five times a second on an idle node, and nothing was promised to anybody about a record yet.
const BEGIN = 'begin; set local synchronous_commit = off';

/**
 * Throws what `pg` throws; the client is of no use afterwards. `again`: an earlier try may have been committed without an
 * answer, or some ids exist; then the rows that are already there are left as they are.
 */
export async function writeBatch(client: pg.Client, batch: Batch, { again }: { again: boolean }): Promise<void> {
  await client.query(BEGIN);
  if (batch.records.length > 0) await copy(client, 'invocations', INVOCATION_COLUMNS, batch.records, { row: invocationRow, again });
  if (batch.lines.length > 0) await copy(client, 'log_lines', LOG_COLUMNS, batch.lines, { row: logRow, again });
  await client.query('commit');
}

export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === UNIQUE_VIOLATION;
}

async function copy<T>(
  client: pg.Client,
  table: string,
  columns: string,
  rows: T[],
  { row, again }: { row: (value: T) => string; again: boolean },
): Promise<void> {
  if (again) await client.query(`create temporary table staged_${table} (like ${table}) on commit drop`);
  const target = client.query(copyFrom(`copy ${again ? 'staged_' : ''}${table} (${columns}) from stdin`));
  await pipeline(Readable.from(slices(rows, row)), target);
  if (again)
    await client.query(`insert into ${table} (${columns}) select ${columns} from staged_${table} order by id on conflict (id) do nothing`);
}

async function* slices<T>(rows: T[], row: (value: T) => string): AsyncGenerator<Buffer> {
  let slice = '';
  for (const one of rows) {
    slice += row(one);
    if (slice.length < SLICE_LENGTH) continue;
    yield Buffer.from(slice);
    slice = '';
    await nextTurn();
  }
  if (slice !== '') yield Buffer.from(slice);
}
