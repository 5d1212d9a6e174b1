// The table of asynchronous invocations. Invariants: each has one outcome, the first that was written, until it is run anew from its dead
// letter; claims and outcomes that come together are written together, one statement for many. Callers: accept.ts, delivery.ts, sweep.ts,
// control/.
import { GroupCommit } from '../../lib/group-commit.ts';
import type { AsyncItem, AsyncState } from '../../protocol/async-api.ts';
import type { FlatHeaders } from '../../protocol/frames.ts';
import type { Sql } from '../../store/records/records.ts';

export interface NewRow {
  id: string;
  project: string;
  function: string;
  version: number | null;
  source: AsyncItem['source'];
  /** Unix ms. */
  createdAt: number;
  deadlineAt: number;
  /** After its end, ms. */
  keepMs: number;
  principal: string | null;
  requestLine: string | null;
  idempotency: { scope: string; key: string; fingerprint: Buffer } | null;
  /** Of its message. */
  sequence: string | null;
}

export interface KeptAnswer {
  status: number;
  headers: FlatHeaders;
  contentType: string;
  truncated: boolean;
}

export interface AsyncRow extends Omit<NewRow, 'idempotency' | 'keepMs'> {
  expiresAt: number;
  state: AsyncState;
  attempts: number;
  interrupted: number;
  startedAt: number | null;
  endedAt: number | null;
  invocation: string | null;
  request: string | null;
  answer: KeptAnswer | null;
  answerBody: Buffer | null;
  errorCode: string | null;
  error: string | null;
}

export interface Outcome {
  id: string;
  state: 'succeeded' | 'failed';
  endedAt: number;
  version: number | null;
  invocation: string | null;
  request: string | null;
  answer: KeptAnswer | null;
  answerBody: Buffer | null;
  error: { code: string; message: string } | null;
}

interface Claim {
  id: string;
  /** Of its message, as `sequence`, which is another one once it was redriven. */
  sentAt: number;
  sequence?: string;
  now: number;
}

interface Pause {
  id: string;
  /** Whether the attempt counts. */
  counts: boolean;
  invocation: string | null;
  error: { code: string; message: string } | null;
}

const AT_ONCE = 500;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
const ERROR_CHARACTERS_MAX = 1_024;

const COLUMNS = `id, project, function, version, source, state, attempts, interrupted, created_at::float8 as "createdAt",
  started_at::float8 as "startedAt", ended_at::float8 as "endedAt", deadline_at::float8 as "deadlineAt", expires_at::float8 as "expiresAt",
  principal, request_line as "requestLine", invocation, request, answer::jsonb as answer, answer_body as "answerBody",
  error_code as "errorCode", error, sequence::text as sequence`;
/** Without what is long. */
const LISTED = COLUMNS.replace(
  'request, answer::jsonb as answer, answer_body as "answerBody"',
  'null as request, answer::jsonb as answer, null as "answerBody"',
);
const IS_OPEN = `state in ('queued', 'running')`;

export class AsyncRecords {
  readonly #sql: Sql;
  readonly #inserts: GroupCommit<NewRow, boolean>;
  readonly #claims: GroupCommit<Claim, AsyncRow | undefined>;
  readonly #pauses: GroupCommit<Pause, undefined>;
  readonly #outcomes: GroupCommit<Outcome, boolean>;

  constructor(sql: Sql) {
    this.#sql = sql;
    const bounds = { itemsMax: AT_ONCE, bytesMax: BYTES_AT_ONCE };
    const one = () => ({ items: 1, bytes: 0 });
    this.#inserts = new GroupCommit({ run: (rows) => this.#insert(rows), weigh: one, ...bounds });
    this.#claims = new GroupCommit({ run: (claims) => this.#claim(claims), weigh: one, ...bounds });
    this.#pauses = new GroupCommit({ run: (pauses) => this.#pause(pauses), weigh: one, ...bounds });
    const weigh = ({ answerBody, request }: Outcome) => ({ items: 1, bytes: (answerBody?.length ?? 0) * 2 + (request?.length ?? 0) });
    this.#outcomes = new GroupCommit({ run: (outcomes) => this.#end(outcomes), weigh, ...bounds });
  }

  /** false: there is one of the same idempotency key. */
  insert(row: NewRow): Promise<boolean> {
    return this.#inserts.add(row);
  }

  /**
   * It is about to be run: `attempts` counts this one, or `interrupted` the one before that was cut off. Of one that has ended before
   * its message was sent (a dead letter that was redriven) all begins anew. undefined: it is not there; one that has ended comes as it is.
   */
  claim(claim: Claim): Promise<AsyncRow | undefined> {
    return this.#claims.add(claim);
  }

  /** It waits for its next attempt. */
  pause(pause: Pause): Promise<undefined> {
    return this.#pauses.add(pause);
  }

  /** false: it had an outcome already, which stays. */
  end(outcome: Outcome): Promise<boolean> {
    return this.#outcomes.add(outcome);
  }

  async idle(): Promise<void> {
    await Promise.all([this.#inserts.idle(), this.#claims.idle(), this.#pauses.idle(), this.#outcomes.idle()]);
  }

  async findByKey(of: {
    project: string;
    function: string;
    scope: string;
    key: string;
  }): Promise<{ id: string; state: AsyncState; fingerprint: Buffer; expiresAt: number } | undefined> {
    const { rows } = await this.#sql.query<{ id: string; state: AsyncState; fingerprint: Buffer; expiresAt: number }>(
      `select id, state, fingerprint, expires_at::float8 as "expiresAt" from async_invocations
        where project = $1 and function = $2 and idempotency_scope = $3 and idempotency_key = $4`,
      [of.project, of.function, of.scope, of.key],
    );
    return rows[0];
  }

  async find(project: string, id: string): Promise<AsyncRow | undefined> {
    const { rows } = await this.#sql.query<AsyncRow>(`select ${COLUMNS} from async_invocations where id = $1 and project = $2`, [
      id,
      project,
    ]);
    return rows[0];
  }

  /** Newest first, without requests and bodies. */
  async list(filter: {
    project: string;
    function?: string | undefined;
    state?: AsyncState | undefined;
    before?: string | undefined;
    limit: number;
  }): Promise<AsyncRow[]> {
    const values: unknown[] = [filter.project, filter.limit];
    const value = (given: unknown): string => `$${values.push(given)}`;
    const conditions = ['project = $1'];
    if (filter.function !== undefined) conditions.push(`function = ${value(filter.function)}`);
    if (filter.state !== undefined) conditions.push(`state = ${value(filter.state)}`);
    if (filter.before !== undefined) conditions.push(`id < ${value(filter.before)}`);
    const { rows } = await this.#sql.query<AsyncRow>(
      `select ${LISTED} from async_invocations where ${conditions.join(' and ')} order by id desc limit $2`,
      values,
    );
    return rows;
  }

  /** Only while it waits. The row as it is afterwards; undefined: there is none. */
  async cancel(project: string, id: string, now: number): Promise<{ cancelled: boolean; row: AsyncRow | undefined }> {
    const { rows } = await this.#sql.query<AsyncRow>(
      `update async_invocations set state = 'cancelled', ended_at = $3, expires_at = $3 + keep_ms where id = $1 and project = $2 and state = 'queued' returning ${COLUMNS}`,
      [id, project, now],
    );
    return rows[0] === undefined ? { cancelled: false, row: await this.find(project, id) } : { cancelled: true, row: rows[0] };
  }

  async remove(id: string): Promise<void> {
    await this.#sql.query('delete from async_invocations where id = $1', [id]);
  }

  /** Of one that nobody was told of. false: it has begun to run. */
  async withdraw(id: string): Promise<boolean> {
    const { rowCount } = await this.#sql.query(
      `delete from async_invocations where id = $1 and state = 'queued' and attempts = 0 and interrupted = 0`,
      [id],
    );
    return rowCount === 1;
  }

  /** Those that have not succeeded in time, oldest first, behind `after`. */
  async overdue(
    before: { queued: number; running: number },
    { limit, after }: { limit: number; after: Pick<AsyncRow, 'deadlineAt' | 'id'> | undefined },
  ): Promise<AsyncRow[]> {
    const { rows } = await this.#sql.query<AsyncRow>(
      `select ${COLUMNS} from async_invocations
        where ${IS_OPEN} and deadline_at < $1 and (state = 'queued' or deadline_at < $2)
          and deadline_at >= $4 and (deadline_at, id) > ($4, $5) order by deadline_at, id limit $3`,
      [before.queued, before.running, limit, after?.deadlineAt ?? 0, after?.id ?? ''],
    );
    return rows;
  }

  async removeExpired(now: number, limit: number): Promise<number> {
    const { rowCount } = await this.#sql.query(
      `delete from async_invocations where id in
         (select id from async_invocations where expires_at < $1 and not ${IS_OPEN} order by expires_at limit $2)`,
      [now, limit],
    );
    return rowCount ?? 0;
  }

  /**
   * Of projects that keep more than `bytesMax` the oldest requests and answers, `limit` by one statement; what became of them stays known.
   * Answers how many. It walks over all.
   */
  async removeAnswers({ bytesMax, limit }: { bytesMax: number; limit: number }): Promise<number> {
    const kept = `coalesce(octet_length(request), 0) + coalesce(octet_length(answer), 0) + coalesce(octet_length(answer_body), 0)`;
    const { rows } = await this.#sql.query<{ project: string }>(
      `select project from async_invocations where not ${IS_OPEN} group by project having sum(${kept}) > $1`,
      [bytesMax],
    );
    let removed = 0;
    for (const { project } of rows) {
      for (let some = limit; some >= limit; removed += some) {
        const { rowCount } = await this.#sql.query(
          `update async_invocations set request = null, answer = null, answer_body = null where not ${IS_OPEN} and id in
           (select id from (select id, ${kept} as kept, sum(${kept}) over (order by ended_at desc, id desc) as total
                              from async_invocations where project = $1 and not ${IS_OPEN}) s
             where total > $2 and kept > 0 order by id limit $3)`,
          [project, bytesMax, limit],
        );
        some = rowCount ?? 0;
      }
    }
    return removed;
  }

  async #insert(rows: NewRow[]): Promise<{ value: boolean }[]> {
    const column = <T>(of: (row: NewRow) => T): T[] => rows.map(of);
    const { rows: inserted } = await this.#sql.query<{ id: string }>(
      `insert into async_invocations (id, project, function, version, source, state, created_at, deadline_at, keep_ms, expires_at, principal,
                                      request_line, idempotency_scope, idempotency_key, fingerprint, sequence)
       select id, project, function, version, source, 'queued', created_at, deadline_at, keep_ms, deadline_at + keep_ms, principal,
              request_line, scope, key, fingerprint, sequence
         from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
                     $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bigint[])
           as n(id, project, function, version, source, created_at, deadline_at, keep_ms, principal, request_line, scope, key, fingerprint,
                sequence)
       on conflict do nothing returning id`,
      [
        column((row) => row.id),
        column((row) => row.project),
        column((row) => row.function),
        column((row) => row.version),
        column((row) => row.source),
        column((row) => row.createdAt),
        column((row) => row.deadlineAt),
        column((row) => row.keepMs),
        column((row) => row.principal),
        column((row) => row.requestLine),
        column((row) => row.idempotency?.scope ?? null),
        column((row) => row.idempotency?.key ?? null),
        column((row) => row.idempotency?.fingerprint ?? null),
        column((row) => row.sequence),
      ],
    );
    const there = new Set(inserted.map(({ id }) => id));
    return rows.map(({ id }) => ({ value: there.has(id) }));
  }

  async #claim(claims: Claim[]): Promise<{ value: AsyncRow | undefined }[]> {
    const ids = claims.map(({ id }) => id);
    const { rows } = await this.#sql.query<AsyncRow>(
      `update async_invocations a set state = 'running', started_at = coalesce(a.started_at, c.now),
              attempts = case when a.state = 'running' then a.attempts when a.state = 'queued' then a.attempts + 1 else 1 end,
              interrupted = case when a.state = 'running' then a.interrupted + 1 when a.state = 'queued' then a.interrupted else 0 end,
              deadline_at = case when a.state = 'failed' then a.deadline_at - a.created_at + c.sent_at else a.deadline_at end,
              ended_at = null, answer = null, answer_body = null, sequence = coalesce(c.sequence, a.sequence)
         from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) as c(id, sent_at, now, sequence)
        where a.id = c.id and (a.state in ('queued', 'running') or (a.state = 'failed' and a.ended_at < c.sent_at))
       returning ${qualified('a')}`,
      [
        ids,
        claims.map(({ sentAt }) => Math.floor(sentAt)),
        claims.map(({ now }) => Math.floor(now)),
        claims.map(({ sequence }) => sequence ?? null),
      ],
    );
    const found = new Map(rows.map((row) => [row.id, row]));
    const others = ids.filter((id) => !found.has(id));
    if (others.length > 0) {
      // One that is open came in between the two statements: it is not claimed yet.
      const ended = await this.#sql.query<AsyncRow>(`select ${COLUMNS} from async_invocations where id = any($1) and not ${IS_OPEN}`, [
        others,
      ]);
      for (const row of ended.rows) found.set(row.id, row);
    }
    return ids.map((id) => ({ value: found.get(id) }));
  }

  async #pause(pauses: Pause[]): Promise<{ value: undefined }[]> {
    await this.#sql.query(
      `update async_invocations a set state = 'queued', attempts = a.attempts - case when p.counts then 0 else 1 end,
              invocation = coalesce(p.invocation, a.invocation), error_code = coalesce(p.code, a.error_code), error = coalesce(p.error, a.error)
         from unnest($1::text[], $2::boolean[], $3::text[], $4::text[], $5::text[]) as p(id, counts, invocation, code, error)
        where a.id = p.id and a.state = 'running'`,
      [
        pauses.map(({ id }) => id),
        pauses.map(({ counts }) => counts),
        pauses.map(({ invocation }) => invocation),
        pauses.map(({ error }) => error?.code ?? null),
        pauses.map(({ error }) => textOf(error)),
      ],
    );
    return pauses.map(() => ({ value: undefined }));
  }

  async #end(outcomes: Outcome[]): Promise<{ value: boolean }[]> {
    const { rows } = await this.#sql.query<{ id: string }>(
      `update async_invocations a set state = o.state, ended_at = o.ended_at, expires_at = o.ended_at + a.keep_ms, version = coalesce(o.version, a.version),
              invocation = coalesce(o.invocation, a.invocation), request = o.request, answer = o.answer, answer_body = o.body,
              error_code = o.code, error = o.error
         from unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[], $10::text[])
           as o(id, state, ended_at, version, invocation, request, answer, body, code, error)
        where a.id = o.id and a.${IS_OPEN} returning a.id`,
      [
        outcomes.map(({ id }) => id),
        outcomes.map(({ state }) => state),
        outcomes.map(({ endedAt }) => Math.floor(endedAt)),
        outcomes.map(({ version }) => version),
        outcomes.map(({ invocation }) => invocation),
        outcomes.map(({ request }) => request),
        outcomes.map(({ answer }) => (answer === null ? null : JSON.stringify(answer))),
        outcomes.map(({ answerBody }) => answerBody),
        outcomes.map(({ error }) => error?.code ?? null),
        outcomes.map(({ error }) => textOf(error)),
      ],
    );
    const written = new Set(rows.map(({ id }) => id));
    return outcomes.map(({ id }) => ({ value: written.has(id) }));
  }
}

/** A NUL, which Postgres takes in no text, would fail the whole batch. */
function textOf(error: { message: string } | null): string | null {
  return error === null ? null : error.message.replaceAll('\0', '').slice(0, ERROR_CHARACTERS_MAX).toWellFormed();
}

function qualified(table: string): string {
  return COLUMNS.replaceAll(/(^|,\s+)(\w)/g, `$1${table}.$2`);
}
