// The rows of runs, and what may happen to them. Invariants: a run is awake in one place at most: whoever wakes it up takes a new token, and
// what is written with an earlier one changes nothing; a run that has ended is never changed but by `retry`; each of these is one
// transaction, so that a crash in between leaves what was before. Used by the edge.
import type { KeptError, StepEnd } from '../../protocol/workflow-run.ts';
import type { Records, Sql } from '../../store/records/records.ts';
import { endDueSteps } from './due-steps.ts';
import type { AllHeard } from './due-steps.ts';
import { historyPage } from './history-page.ts';
import type { RunName } from './names.ts';

export interface Taken {
  run: string;
  token: number;
  version: number;
  /** JSON. */
  input: string;
  startedAt: number;
  crashes: number;
  history: string[];
  more: number | undefined;
  /** Of the last step that ended; how many steps there are, and their bytes. */
  place: number;
  steps: number;
  bytes: number;
}

export type TakeAnswer =
  | { as: 'taken'; taken: Taken }
  /** Ended, or unknown. */
  | { as: 'over' }
  /** Nothing is due before this time (Unix ms); undefined: before an event comes. */
  | { as: 'early'; wakeAt: number | undefined }
  /** Another has it awake. */
  | { as: 'held' };

interface RunRow {
  run: string;
  state: string;
  version: number;
  token: number;
  input: string;
  crashes: number;
  holder: string | null;
  startedAt: number | null;
  heldUntil: number | null;
  wakeAt: number | null;
}

const ms = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;
const time = (parameter: number): string => `to_timestamp($${parameter}::float8 / 1000)`;

export class Runs {
  readonly #records: Records;
  readonly #holder: string;
  readonly #allHeard: AllHeard;

  constructor(records: Records, holder: string, { allHeard }: { allHeard: AllHeard }) {
    this.#records = records;
    this.#holder = holder;
    this.#allHeard = allHeard;
  }

  /** Wakes a run up that has something to do. `forMs`: how long it can be awake. */
  async take(name: RunName, { now, forMs }: { now: number; forMs: number }): Promise<TakeAnswer> {
    return await this.#records.transaction(async (sql): Promise<TakeAnswer> => {
      const { rows } = await sql.query<RunRow>(
        `select run::text, state, version, token, input, crashes, holder, ${ms('started_at')} as "startedAt", ${ms('held_until')} as "heldUntil",
                ${ms('wake_at')} as "wakeAt"
           from workflow_runs where project = $1 and function = $2 and id = $3 and ended_at is null for update`,
        [name.project, name.function, name.id],
      );
      const row = rows[0];
      if (row === undefined) return { as: 'over' };
      if (row.holder !== null && row.holder !== this.#holder && (row.heldUntil ?? 0) > now) return { as: 'held' };
      const { run } = row;
      const counts = await countsOf(sql, run);
      const due = await endDueSteps(sql, { run, now, last: counts.place, allHeard: this.#allHeard });
      const rests = row.state === 'sleeping' || row.state === 'waiting';
      if (due.length === 0 && (rests || row.crashes > 0) && (row.wakeAt === null || row.wakeAt > now))
        return { as: 'early', wakeAt: row.wakeAt ?? undefined };
      const startedAt = row.startedAt ?? now;
      const token = row.token + 1;
      await sql.query(
        `update workflow_runs set state = 'running', token = $2, holder = $3, held_until = ${time(4)}, started_at = ${time(5)}, updated_at = ${time(6)},
                wake_at = null where run = $1`,
        [run, token, this.#holder, now + forMs, startedAt, now],
      );
      const { steps: history, more } = await historyPage(sql, { run, after: 0, now });
      const { version, input, crashes } = row;
      return {
        as: 'taken',
        taken: { run, token, version, input, startedAt, crashes, history, more, ...counts, place: counts.place + due.length },
      };
    });
  }

  /** What has become due of a run that is awake; undefined: it is another's by now. */
  async news(held: { run: string; token: number; place: number }, now: number): Promise<StepEnd[] | undefined> {
    return await this.#records.transaction(async (sql) => {
      if (!(await isHeld(sql, held))) return undefined;
      return await endDueSteps(sql, { run: held.run, now, last: held.place, allHeard: this.#allHeard });
    });
  }

  /**
   * Ends a wake-up whose steps all sleep or wait, unless something became due meanwhile. `wake` is called before it is committed with the
   * time of the next: a wake-up too many does no harm.
   */
  async suspend(
    held: { run: string; token: number; place: number },
    { now, again, wake }: { now: number; again: boolean; wake: (at: number) => Promise<void> },
  ): Promise<StepEnd[] | 'suspended' | undefined> {
    return await this.#records.transaction(async (sql) => {
      if (!(await isHeld(sql, held))) return undefined;
      const due = await endDueSteps(sql, { run: held.run, now, last: held.place, allHeard: this.#allHeard });
      if (due.length > 0) return due;
      const { rows } = await sql.query<{ wakeAt: number | null; waits: boolean }>(
        `select ${ms('min(wake_at)')} as "wakeAt", coalesce(bool_or(state = 'waiting'), false) as waits
           from workflow_steps where run = $1 and state in ('sleeping', 'waiting', 'retrying')`,
        [held.run],
      );
      const { waits = false, wakeAt: dueAt = null } = rows[0] ?? {};
      const wakeAt = again ? now : dueAt;
      if (wakeAt !== null) await wake(wakeAt);
      await sql.query(
        `update workflow_runs set state = $2, wake_at = ${time(3)}, holder = null, held_until = null, crashes = 0, updated_at = ${time(4)} where run = $1`,
        [held.run, waits ? 'waiting' : 'sleeping', wakeAt, now],
      );
      return 'suspended';
    });
  }

  /** The handler is through. false: the run is another's by now. */
  async end(
    held: { run: string; token: number },
    {
      now,
      keepMs,
      state,
      result,
      error,
    }: { now: number; keepMs: number; state: 'succeeded' | 'failed'; result: string | null; error: string | null },
  ): Promise<boolean> {
    const { rowCount } = await this.#records.query(
      `update workflow_runs set state = $3, result = $4, error = $5, ended_at = ${time(6)}, updated_at = ${time(6)}, keep_until = ${time(7)},
              holder = null, held_until = null, wake_at = null
        where run = $1 and token = $2 and ended_at is null`,
      [held.run, held.token, state, result, error, now, now + keepMs],
    );
    return rowCount === 1;
  }

  /** Its instance ended, or could not begin: it is woken up again at `wakeAt`. Answers how often that was in a row. */
  async broke(
    held: { run: string; token: number },
    { now, wakeAt, counts }: { now: number; wakeAt: number; counts: boolean },
  ): Promise<number> {
    const { rows } = await this.#records.query<{ crashes: number }>(
      `update workflow_runs set crashes = crashes + $3, holder = null, held_until = null, wake_at = ${time(4)}, updated_at = ${time(5)}
        where run = $1 and token = $2 and ended_at is null returning crashes`,
      [held.run, held.token, counts ? 1 : 0, wakeAt, now],
    );
    return rows[0]?.crashes ?? 0;
  }

  async history(
    held: { run: string; token: number },
    { after, now }: { after: number; now: number },
  ): Promise<{ steps: string[]; more: number | undefined }> {
    return await historyPage(this.#records, { run: held.run, after, now });
  }

  /** Open waits of a key (wait-keys.ts), at most `max` counted. */
  async waiting(waitsFor: string, max: number): Promise<number> {
    const { rows } = await this.#records.query<{ count: number }>(
      `select count(*)::int as count from (select 1 from workflow_steps where waits_for = $1 and state = 'waiting' limit $2) open`,
      [waitsFor, max],
    );
    return rows[0]!.count;
  }

  /** The workflows that have runs which have not ended. One look into the index for each, not for each run. */
  async alive(): Promise<{ project: string; function: string }[]> {
    const { rows } = await this.#records.query<{ project: string; function: string }>(
      `with recursive found as (
         (select project, function from workflow_runs where ended_at is null order by project, function limit 1)
         union all
         select n.* from found f cross join lateral (
           select project, function from workflow_runs r
            where ended_at is null and (r.project, r.function) > (f.project, f.function) order by project, function limit 1) n
       ) select project, function from found`,
    );
    return rows;
  }

  /** Those that a process of this holder had awake when it died. */
  async orphans(): Promise<RunName[]> {
    const { rows } = await this.#records.query<RunName>(
      'select project, function, id from workflow_runs where holder = $1 and ended_at is null',
      [this.#holder],
    );
    return rows;
  }
}

async function isHeld(sql: Sql, { run, token }: { run: string; token: number }): Promise<boolean> {
  const { rows } = await sql.query(`select 1 from workflow_runs where run = $1 and token = $2 and state = 'running' for update`, [
    run,
    token,
  ]);
  return rows.length > 0;
}

async function countsOf(sql: Sql, run: string): Promise<{ place: number; steps: number; bytes: number }> {
  const { rows } = await sql.query<{ place: number; steps: number; bytes: number }>(
    `select coalesce(max(ended_place), 0) as place, count(*)::int as steps,
            coalesce(sum(octet_length(coalesce(result, '')) + octet_length(coalesce(error, ''))), 0)::float8 as bytes
       from workflow_steps where run = $1`,
    [run],
  );
  return rows[0]!;
}

export function errorText(error: KeptError): string {
  return JSON.stringify(error);
}
