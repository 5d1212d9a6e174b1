// The table of recordings, and the way into it: what passes waits in memory, bounded, and is written in batches off the hot path. Invariants:
// add() costs no waiting and never throws; what finds no room, or cannot be written, is dropped and counted, and takes nothing with it;
// what is known of one event from its sender and from its deliveries is one row. Callers: the recorders, replay, control/.
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { Sql } from '../../store/records/records.ts';

export interface DeliveryNote {
  state: 'done' | 'failed' | 'dead';
  /** Unix ms. */
  at: number;
  error?: string;
}

export interface RecordedAnswer {
  status: number;
  headers: FlatHeaders;
  contentType: string;
  truncated: boolean;
}

export interface Recorded {
  project: string;
  id: string;
  /** `queue/orders`, `topic/prices`, `route/notes/{id}`. */
  source: string;
  /** Unix ms. */
  at: number;
  expiresAt: number;
  function: string | null;
  version: number | null;
  summary: string | null;
  /** JSON. */
  content: string;
  answer: RecordedAnswer | null;
  answerBody: Buffer | null;
  outcomes: Record<string, DeliveryNote>;
  redacted: string[];
}

type Log = (level: 'warn', message: string, fields?: Record<string, unknown>) => void;

const FLUSH_AFTER_MS = 200;
const FLUSH_ROWS = 500;
const ROW_BYTES = 300;
const REPORT_EVERY_MS = 10_000;
/** Class of SQLSTATE. */
const DATA_EXCEPTION = '22';
const COLUMNS = `project, id, source, at::float8 as at, expires_at::float8 as "expiresAt", function, version, summary, content,
  answer::jsonb as answer, answer_body as "answerBody", outcomes, redacted::jsonb as redacted`;

export class RecordingBuffer {
  readonly #sql: Sql;
  readonly #bytesMax: number;
  readonly #log: Log;
  #rows = new Map<string, { row: Recorded; bytes: number }>();
  #bytes = 0;
  #dropped = 0;
  #reportedAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(parts: { sql: Sql; bytesMax: number; log: Log }) {
    this.#sql = parts.sql;
    this.#bytesMax = parts.bytesMax;
    this.#log = parts.log;
  }

  get dropped(): number {
    return this.#dropped;
  }

  add(row: Recorded): void {
    const key = `${row.project}\0${row.source}\0${row.id}`;
    const there = this.#rows.get(key);
    if (there !== undefined) {
      Object.assign(there.row.outcomes, row.outcomes);
      return;
    }
    const bytes = ROW_BYTES + row.content.length + (row.answerBody?.length ?? 0);
    if (this.#bytes + bytes > this.#bytesMax) {
      this.#drop(1);
      return;
    }
    this.#rows.set(key, { row, bytes });
    this.#bytes += bytes;
    if (this.#rows.size >= FLUSH_ROWS) void this.#flush();
    else this.#timer ??= setTimeout(() => void this.#flush(), FLUSH_AFTER_MS);
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#flush();
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#rows.size > 0) {
      const batch = [...this.#rows.values()];
      this.#rows = new Map();
      await this.#write(batch.map(({ row }) => row));
      for (const { bytes } of batch) this.#bytes -= bytes;
    }
  }

  /** By halves where the database refuses a value, so that only what has it is lost. */
  async #write(rows: readonly Recorded[]): Promise<void> {
    try {
      await writeRecordings(this.#sql, rows);
    } catch (error) {
      const isOfValues = String((error as { code?: unknown }).code).startsWith(DATA_EXCEPTION);
      if (!isOfValues || rows.length === 1) return this.#drop(rows.length, error);
      const half = rows.length >> 1;
      await this.#write(rows.slice(0, half));
      await this.#write(rows.slice(half));
    }
  }

  #drop(count: number, error?: unknown): void {
    this.#dropped += count;
    const now = performance.now();
    if (now < this.#reportedAt + REPORT_EVERY_MS) return;
    this.#reportedAt = now;
    const reason = error instanceof Error ? error.message : 'they come faster than they are written';
    this.#log('warn', 'recordings were dropped since the start', { dropped: this.#dropped, reason });
  }
}

async function writeRecordings(sql: Sql, rows: readonly Recorded[]): Promise<void> {
  const json = rows.map(({ answerBody, ...row }) => ({ ...row, bytes: Buffer.byteLength(row.content) + (answerBody?.length ?? 0) }));
  await sql.query(
    `insert into recordings as r (project, id, source, at, expires_at, function, version, summary, content, answer, answer_body, outcomes, redacted, bytes)
     select project, id, source, at, "expiresAt", function, version, summary, content, answer, body, outcomes, redacted, bytes
       from json_to_recordset($1::json) as n(project text, id text, source text, at bigint, "expiresAt" bigint, function text, version int, summary text,
                                             content text, answer text, outcomes jsonb, redacted text, bytes int, place int)
       join unnest($2::bytea[]) with ordinality as b(body, nth) on b.nth = n.place
     on conflict (project, id, source) do update set outcomes = r.outcomes || excluded.outcomes`,
    [
      JSON.stringify(
        json.map((row, index) => ({
          ...row,
          at: Math.floor(row.at),
          expiresAt: Math.floor(row.expiresAt),
          answer: row.answer === null ? null : JSON.stringify(row.answer),
          redacted: JSON.stringify(row.redacted),
          place: index + 1,
        })),
      ),
      rows.map(({ answerBody }) => answerBody),
    ],
  );
}

/** All of this id: an event may have passed several places. */
export async function findRecordings(sql: Sql, project: string, id: string): Promise<Recorded[]> {
  const { rows } = await sql.query<Recorded>(`select ${COLUMNS} from recordings where project = $1 and id = $2 order by source limit 20`, [
    project,
    id,
  ]);
  return rows;
}

export interface RecordingFilter {
  project: string;
  source?: string | undefined;
  sinceMs?: number | undefined;
  /** Of the last that was given. */
  before?: { at: number; id: string } | undefined;
  limit: number;
}

/** Newest first, without contents. */
export async function listRecordings(sql: Sql, filter: RecordingFilter): Promise<Recorded[]> {
  const values: unknown[] = [filter.project, filter.limit];
  const value = (given: unknown): string => `$${values.push(given)}`;
  const conditions = ['project = $1'];
  if (filter.source !== undefined) conditions.push(`source = ${value(filter.source)}`);
  if (filter.sinceMs !== undefined) conditions.push(`at >= ${value(Math.floor(filter.sinceMs))}`);
  if (filter.before !== undefined) conditions.push(`(at, id) < (${value(filter.before.at)}, ${value(filter.before.id)})`);
  const listed = COLUMNS.replace('summary, content,', `summary, '' as content,`).replace('answer_body as', 'null as');
  const { rows } = await sql.query<Recorded>(
    `select ${listed} from recordings where ${conditions.join(' and ')} order by at desc, id desc limit $2`,
    values,
  );
  return rows;
}

/** Runs. Summing up what there is takes a walk over all of it. */
const LOOKED_THROUGH_EVERY = 30;
/** Of the bytes of one project: when so much has come since, it is looked through at once. */
const GROWTH_PART = 8;
const SIZE = `select pg_total_relation_size('recordings')::float8 as bytes`;

/** Takes away what has been kept long enough, and the oldest of projects that have more than they may. Run every few seconds by one role. */
export class RecordingSweep {
  readonly #sql: Sql;
  readonly #bytesMax: number;
  readonly #atOnce: number;
  #runs = 0;
  #bytesThen = 0;

  /** `atOnce`: rows of one statement. */
  constructor({ sql, bytesMax, atOnce }: { sql: Sql; bytesMax: number; atOnce: number }) {
    this.#sql = sql;
    this.#bytesMax = bytesMax;
    this.#atOnce = atOnce;
  }

  /** Answers how many. */
  async run(nowMs: number): Promise<number> {
    let removed = await this.#inSteps('ctid in (select ctid from recordings where expires_at < $1 order by expires_at limit $2)', [nowMs]);
    const bytes = (await this.#sql.query<{ bytes: number }>(SIZE)).rows[0]!.bytes;
    const grown = bytes - this.#bytesThen > this.#bytesMax / GROWTH_PART;
    if (this.#runs++ % LOOKED_THROUGH_EVERY !== 0 && !grown) return removed;
    this.#bytesThen = bytes;
    const { rows } = await this.#sql.query<{ project: string }>('select project from recordings group by project having sum(bytes) > $1', [
      this.#bytesMax,
    ]);
    for (const { project } of rows) removed += await this.#makeRoom(project);
    return removed;
  }

  async #makeRoom(project: string): Promise<number> {
    const { rows } = await this.#sql.query<{ at: string; id: string }>(
      `select at, id from (select at, id, sum(bytes) over (order by at desc, id desc) as held from recordings where project = $1) as kept
        where held > $2 order by at desc, id desc limit 1`,
      [project, this.#bytesMax],
    );
    if (rows[0] === undefined) return 0;
    const { at, id } = rows[0];
    return await this.#inSteps(
      'ctid in (select ctid from recordings where project = $1 and (at, id) <= ($2::bigint, $3) order by at, id limit $4)',
      [project, at, id],
    );
  }

  async #inSteps(which: string, values: unknown[]): Promise<number> {
    let removed = 0;
    for (;;) {
      const rowCount = (await this.#sql.query(`delete from recordings where ${which}`, [...values, this.#atOnce])).rowCount ?? 0;
      removed += rowCount;
      if (rowCount < this.#atOnce) return removed;
    }
  }
}
