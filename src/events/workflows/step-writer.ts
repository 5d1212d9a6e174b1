// Makes steps durable: what all runs of this process want to write while one write is under way goes together in the next, so that the
// number of steps a second is not that of commits. Invariants: a step is answered only when it is committed; none is written in the name of
// a wake-up that another has followed; answers come in the order of the requests. Made by server/edge.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import { VirgaError } from '../../protocol/errors.ts';
import type { StepIdentity, StepState } from '../../protocol/workflow-run.ts';
import type { Sql } from '../../store/records/records.ts';
import { isAway } from './database-away.ts';

export interface StepWrite extends StepIdentity {
  run: string;
  token: number;
  state: StepState;
  attempts: number;
  result: string | null;
  error: string | null;
  match: string | null;
  /** Of a wait for events of the project: wait-keys.ts. */
  waitsFor: string | null;
  place: number | null;
  /** Unix ms. */
  wakeAt: number | null;
  /** When this attempt began, and when this was said. */
  startedAt: number;
  at: number;
}

interface Waiting {
  write: StepWrite;
  answered: { resolve: () => void; reject: (error: VirgaError) => void }[];
}

/** How long the beginning of a step waits for its end. */
const WAIT_MS = 5;
const ROWS_MAX = 500;
const BYTES_MAX = 4 * 1024 * 1024;
const RETRY_FIRST_MS = 20;
const RETRY_LAST_MS = 1_000;

const WRITE = `
with i as (
  select * from unnest($1::bigint[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::int[], $10::text[],
                       $11::text[], $12::text[], $13::int[], $14::float8[], $15::float8[], $16::float8[],
                       $17::text[])
    as i(run, token, ordinal, scope, kind, name, occurrence, state, attempts, result, error, match, place, wake_at, started_at, at, waits_for)
), held as (
  update workflow_runs r
     set updated_at = to_timestamp(w.at / 1000), crashes = case when w.ended then 0 else r.crashes end
    from (select run, token, bool_or(place is not null) as ended, max(at) as at from i group by run, token) w
   where r.run = w.run and r.token = w.token and r.state = 'running'
  returning r.run, r.token
), written as (
  insert into workflow_steps as s
    (run, ordinal, scope, kind, name, occurrence, state, attempts, result, error, match, ended_place, wake_at, started_at, ended_at,
     waits_for)
  select run, ordinal, scope, kind, name, occurrence, state, attempts, result, error, match, place, to_timestamp(wake_at / 1000),
         to_timestamp(started_at / 1000), case when place is not null then to_timestamp(at / 1000) end, waits_for
    from i join held using (run, token)
  on conflict (run, ordinal) do update set state = excluded.state, attempts = excluded.attempts, result = excluded.result,
    error = coalesce(excluded.error, case when excluded.state = 'running' then s.error end), ended_place = excluded.ended_place,
    wake_at = excluded.wake_at, ended_at = excluded.ended_at
)
select run::text, token from held`;

export class StepWriter {
  readonly #sql: Sql;
  readonly #patienceMs: number;
  #waiting = new Map<string, Waiting>();
  #writing = false;
  #timer: NodeJS.Timeout | undefined;

  /** `patienceMs`: how long it goes on trying while the database is away. */
  constructor(sql: Sql, { patienceMs }: { patienceMs: number }) {
    this.#sql = sql;
    this.#patienceMs = patienceMs;
  }

  /**
   * Durable when it resolves. Rejects with `workflow_lost` or `unavailable`. `waits`: it need not be at once, and what the step says next
   * may come with it: most steps are over before their beginning is written, and cost one commit and not two.
   */
  write(write: StepWrite, { waits = false } = {}): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const key = `${write.run}/${write.token}/${write.ordinal}`;
    const before = this.#waiting.get(key);
    // What a step says later stands for what it said before. It moves to the end, so that ends keep their order.
    this.#waiting.delete(key);
    const startedAt = before?.write.startedAt ?? write.startedAt;
    this.#waiting.set(key, { write: { ...write, startedAt }, answered: [...(before?.answered ?? []), { resolve, reject }] });
    if (this.#writing) return promise;
    if (!waits) this.#begin();
    else this.#timer ??= setTimeout(() => this.#begin(), WAIT_MS);
    return promise;
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#writing) void this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    // What comes within this turn of the event loop goes along.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const batch = this.#next();
      try {
        const held = await this.#patiently(batch.map(({ write }) => write));
        for (const { write, answered } of batch) {
          const isHeld = held.has(`${write.run}/${write.token}`);
          for (const { resolve, reject } of answered)
            if (isHeld) resolve();
            else reject(lost());
        }
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        for (const { answered } of batch)
          for (const { reject } of answered)
            reject(new VirgaError('unavailable', `the step could not be kept: ${reason}`, { cause: error }));
      }
    }
    this.#writing = false;
  }

  #next(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const [key, waiting] of this.#waiting) {
      bytes += (waiting.write.result?.length ?? 0) + (waiting.write.error?.length ?? 0);
      if (batch.length > 0 && (batch.length >= ROWS_MAX || bytes > BYTES_MAX)) break;
      batch.push(waiting);
      this.#waiting.delete(key);
    }
    return batch;
  }

  /** The same write again changes nothing, so one whose answer got lost is simply repeated. */
  async #patiently(writes: StepWrite[]): Promise<Set<string>> {
    const until = performance.now() + this.#patienceMs;
    for (let delayMs = RETRY_FIRST_MS; ; delayMs = Math.min(RETRY_LAST_MS, delayMs * 2)) {
      try {
        return await this.#write(writes);
      } catch (error) {
        if (!isAway(error) || performance.now() + delayMs > until) throw error;
        await sleep(delayMs);
      }
    }
  }

  async #write(writes: StepWrite[]): Promise<Set<string>> {
    const column = <T>(of: (write: StepWrite) => T): T[] => writes.map(of);
    const { rows } = await this.#sql.query<{ run: string; token: number }>(WRITE, [
      column((w) => w.run),
      column((w) => w.token),
      column((w) => w.ordinal),
      column((w) => w.scope),
      column((w) => w.kind),
      column((w) => w.name),
      column((w) => w.occurrence),
      column((w) => w.state),
      column((w) => w.attempts),
      column((w) => w.result),
      column((w) => w.error),
      column((w) => w.match),
      column((w) => w.place),
      column((w) => w.wakeAt),
      column((w) => w.startedAt),
      column((w) => w.at),
      column((w) => w.waitsFor),
    ]);
    return new Set(rows.map(({ run, token }) => `${run}/${token}`));
  }
}

export function lost(): VirgaError {
  return new VirgaError('workflow_lost', 'another wake-up has this run, or it has ended: nothing more is written in the name of this one');
}
