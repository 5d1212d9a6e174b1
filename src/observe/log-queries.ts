// Reads log lines, oldest first. Invariant: every query is bounded by a limit and walks an index. One edge writes its
// lines in the order of their ids, one batch after the other, so a reader that remembers its last id misses none.
// Written by batch-recorder.ts, called by the control API.
import type { LogLine } from '../protocol/invocation.ts';
import type { Sql } from '../store/records/records.ts';
import { firstIdAt } from './record-time.ts';

interface Row extends Omit<LogLine, 'at'> {
  at_ms: number;
}

const COLUMNS = `id, extract(epoch from at)::float8 * 1000 as at_ms, project, function, version, invocation, instance, level, text`;

export interface LogFilter {
  project: string;
  function?: string | undefined;
  invocation?: string | undefined;
  /** Unix ms. */
  sinceMs?: number | undefined;
  /** Only lines after this id. */
  after?: string | undefined;
}

/** The oldest `limit` lines that pass the filter. */
export async function queryLogs(sql: Sql, filter: LogFilter, limit: number): Promise<LogLine[]> {
  const { where, values } = conditionsOf(filter);
  const { rows } = await sql.query<Row>(`select ${COLUMNS} from log_lines where ${where} order by id limit ${limit}`, values);
  return rows.map(lineOf);
}

/** The newest `limit` lines that pass the filter, oldest first. */
export async function queryLastLogs(sql: Sql, filter: LogFilter, limit: number): Promise<LogLine[]> {
  const { where, values } = conditionsOf(filter);
  const { rows } = await sql.query<Row>(`select ${COLUMNS} from log_lines where ${where} order by id desc limit ${limit}`, values);
  return rows.map(lineOf).toReversed();
}

/** Id of the newest line of all; undefined when there is none. */
export async function newestLogId(sql: Sql): Promise<string | undefined> {
  const { rows } = await sql.query<{ id: string }>('select id from log_lines order by id desc limit 1');
  return rows[0]?.id;
}

/** Removes at most `limit` lines that are older than `beforeMs`; says how many. */
export async function deleteLogsBefore(sql: Sql, beforeMs: number, limit: number): Promise<number> {
  const { rowCount } = await sql.query('delete from log_lines where id in (select id from log_lines where id < $1 order by id limit $2)', [
    firstIdAt('log', beforeMs),
    limit,
  ]);
  return rowCount ?? 0;
}

function conditionsOf(filter: LogFilter): { where: string; values: unknown[] } {
  const values: unknown[] = [filter.project];
  const value = (given: unknown): string => `$${values.push(given)}`;
  const conditions = ['project = $1'];
  if (filter.function !== undefined) conditions.push(`function = ${value(filter.function)}`);
  if (filter.invocation !== undefined) conditions.push(`invocation = ${value(filter.invocation)}`, `invocation <> ''`);
  if (filter.sinceMs !== undefined) conditions.push(`id >= ${value(firstIdAt('log', filter.sinceMs))}`);
  if (filter.after !== undefined) conditions.push(`id > ${value(filter.after)}`);
  return { where: conditions.join(' and '), values };
}

function lineOf(row: Row): LogLine {
  return {
    id: row.id,
    at: row.at_ms,
    project: row.project,
    function: row.function,
    version: row.version,
    invocation: row.invocation,
    instance: row.instance,
    level: row.level,
    text: row.text,
  };
}
