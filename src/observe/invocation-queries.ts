// Reads invocation records. Invariant: every query is bounded by a limit and walks an index (project, function, id) or
// the primary key. Rows come back as InvocationRecord. Written by batch-recorder.ts, called by the control API.
import type { Explanation } from '../protocol/explanation.ts';
import type { InvocationRecord, Outcome } from '../protocol/invocation.ts';
import type { Sql } from '../store/records/records.ts';
import { firstIdAt } from './record-time.ts';

interface Row {
  id: string;
  trace_id: string;
  project: string;
  function: string;
  version: number;
  trigger: string;
  outcome: Outcome;
  status: number | null;
  request: string | null;
  error: string | null;
  started_ms: number;
  queue_ms: number;
  sandbox_ms: number;
  load_ms: number;
  init_ms: number;
  handler_ms: number;
  cold: boolean;
  billed_ms: number;
  // bigint: pg gives text
  peak_memory_bytes: string;
  bytes_in: string;
  bytes_out: string;
  instance: string;
  /** JSON. */
  explanation: string | null;
}

const COLUMNS = `id, trace_id, project, function, version, trigger, outcome, status, request, error,
  extract(epoch from started_at)::float8 * 1000 as started_ms, queue_ms, sandbox_ms, load_ms, init_ms, handler_ms,
  cold, billed_ms, peak_memory_bytes, bytes_in, bytes_out, instance, explanation`;

export interface InvocationQuery {
  project: string;
  function: string;
  /** Unix ms. */
  sinceMs?: number | undefined;
  /** `failed`: everything but `ok`. */
  outcome?: Outcome | 'failed' | undefined;
  /** Only records older than this id. */
  before?: string | undefined;
  limit: number;
}

/** Newest first. */
export async function queryInvocations(sql: Sql, query: InvocationQuery): Promise<InvocationRecord[]> {
  const values: unknown[] = [query.project, query.function, query.limit];
  const value = (given: unknown): string => `$${values.push(given)}`;
  const conditions = ['project = $1', 'function = $2'];
  if (query.sinceMs !== undefined) conditions.push(`id >= ${value(firstIdAt('inv', query.sinceMs))}`);
  if (query.before !== undefined) conditions.push(`id < ${value(query.before)}`);
  if (query.outcome === 'failed') conditions.push(`outcome <> 'ok'`);
  else if (query.outcome !== undefined) conditions.push(`outcome = ${value(query.outcome)}`);
  const { rows } = await sql.query<Row>(
    `select ${COLUMNS} from invocations where ${conditions.join(' and ')} order by id desc limit $3`,
    values,
  );
  return rows.map(recordOf);
}

export async function queryInvocation(sql: Sql, project: string, id: string): Promise<InvocationRecord | undefined> {
  const { rows } = await sql.query<Row>(`select ${COLUMNS} from invocations where id = $1 and project = $2`, [id, project]);
  return rows[0] === undefined ? undefined : recordOf(rows[0]);
}

/** Removes at most `limit` records that are older than `beforeMs`; says how many. */
export async function deleteInvocationsBefore(sql: Sql, beforeMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query(
    'delete from invocations where id in (select id from invocations where id < $1 order by id limit $2)',
    [firstIdAt('inv', beforeMs), limit],
  );
  return rowCount ?? 0;
}

function recordOf(row: Row): InvocationRecord {
  return {
    id: row.id,
    traceId: row.trace_id,
    project: row.project,
    function: row.function,
    version: row.version,
    trigger: row.trigger,
    outcome: row.outcome,
    status: row.status,
    request: row.request,
    error: row.error,
    explanation: row.explanation === null ? null : (JSON.parse(row.explanation) as Explanation),
    startedAt: row.started_ms,
    receipt: {
      queueMs: row.queue_ms,
      sandboxMs: row.sandbox_ms,
      loadMs: row.load_ms,
      initMs: row.init_ms,
      handlerMs: row.handler_ms,
      cold: row.cold,
      billedMs: row.billed_ms,
    },
    peakMemoryBytes: Number(row.peak_memory_bytes),
    bytesIn: Number(row.bytes_in),
    bytesOut: Number(row.bytes_out),
    instance: row.instance,
  };
}
