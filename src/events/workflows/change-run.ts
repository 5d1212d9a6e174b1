// Ends a run from outside, and takes up one that has failed. Invariant: what an instance that still has the run awake writes afterwards is
// refused: the token is another. Called by the control role.
import { VirgaError } from '../../protocol/errors.ts';
import type { KeptError } from '../../protocol/workflow-run.ts';
import type { Records, Sql } from '../../store/records/records.ts';
import { noSuchRun } from './names.ts';
import type { RunName } from './names.ts';

/** It ends now, whatever it does. A step that runs is told by its signal; what it did is not undone. */
export async function cancelRun(sql: Sql, name: RunName, { now, keepMs }: { now: number; keepMs: number }): Promise<void> {
  const { rowCount } = await sql.query(
    `update workflow_runs set state = 'cancelled', token = token + 1, holder = null, held_until = null, wake_at = null,
            ended_at = to_timestamp($4::float8 / 1000), updated_at = to_timestamp($4::float8 / 1000), keep_until = to_timestamp($5::float8 / 1000)
      where project = $1 and function = $2 and id = $3 and ended_at is null`,
    [name.project, name.function, name.id, now, now + keepMs],
  );
  if (rowCount === 1) return;
  const state = await stateOf(sql, name);
  throw new VirgaError('run_ended', `the run '${name.id}' has ended already: it is ${state}`);
}

/**
 * A run that failed goes on from the step whose error ended it; what ended before that stays as it is. One that failed otherwise, or was
 * cancelled, is woken up as it was. `version`: it goes on with the code of another version, which has to do the same up to there.
 */
export async function retryRun(
  records: Records,
  name: RunName,
  { now, version }: { now: number; version: number | undefined },
): Promise<void> {
  await records.transaction(async (sql) => {
    const { rows } = await sql.query<{ run: string; state: string; error: string | null }>(
      'select run::text, state, error from workflow_runs where project = $1 and function = $2 and id = $3 for update',
      [name.project, name.function, name.id],
    );
    const found = rows[0];
    if (found === undefined) throw noSuchRun(name);
    if (found.state !== 'failed' && found.state !== 'cancelled')
      throw new VirgaError(
        'run_not_failed',
        `the run '${name.id}' is ${found.state}; only one that failed or was cancelled is tried again`,
      );
    if (version !== undefined) await requireVersion(sql, name, version);
    const failed = found.error === null ? undefined : (JSON.parse(found.error) as KeptError).step;
    if (failed !== undefined) await resetFrom(sql, found.run, failed);
    await sql.query(
      `update workflow_runs set state = 'pending', token = token + 1, version = coalesce($2, version), result = null, error = null, crashes = 0,
              ended_at = null, keep_until = null, wake_at = to_timestamp($3::float8 / 1000), updated_at = to_timestamp($3::float8 / 1000) where run = $1`,
      [found.run, version ?? null, now],
    );
  });
}

/** The failed step is open again, and what the code did because of its failure is forgotten; branches beside it are left alone. */
async function resetFrom(sql: Sql, run: string, failed: number): Promise<void> {
  const { rows } = await sql.query<{ ordinal: number; scope: string }>(
    'select ordinal, scope from workflow_steps where run = $1 and ordinal >= $2 order by ordinal',
    [run, failed],
  );
  const [first, ...later] = rows;
  if (first?.ordinal !== failed) return;
  const forgotten = later.filter(({ scope }) => !areBeside(scope, first.scope)).map(({ ordinal }) => ordinal);
  await sql.query('update workflow_events set ordinal = null where run = $1 and ordinal = any($2) and wait is null', [run, forgotten]);
  // Another wait may get the ordinal: what was for the old one is not for it.
  await sql.query('delete from workflow_events where run = $1 and wait = any($2)', [run, forgotten]);
  await sql.query('delete from workflow_steps where run = $1 and ordinal = any($2)', [run, forgotten]);
  await sql.query(
    `update workflow_steps set state = 'retrying', attempts = 0, ended_place = null, ended_at = null, wake_at = null where run = $1 and ordinal = $2`,
    [run, failed],
  );
}

/** Two scopes that are, or are in, different branches of one `parallel`. */
export function areBeside(one: string, other: string): boolean {
  const [a, b] = [one.split('/'), other.split('/')];
  const at = a.findIndex((part, i) => part !== b[i]);
  if (at === -1 || a[at] === '' || b[at] === undefined || b[at] === '') return false;
  return a[at]!.split('.')[0] === b[at].split('.')[0];
}

async function requireVersion(sql: Sql, { project, function: fn }: RunName, version: number): Promise<void> {
  const { rows } = await sql.query('select 1 from versions where project = $1 and function = $2 and number = $3', [project, fn, version]);
  if (rows.length === 0)
    throw new VirgaError('version_not_found', `function '${fn}' has no version ${version}; \`virga versions ${fn}\` lists them`);
}

async function stateOf(sql: Sql, name: RunName): Promise<string> {
  const { rows } = await sql.query<{ state: string }>('select state from workflow_runs where project = $1 and function = $2 and id = $3', [
    name.project,
    name.function,
    name.id,
  ]);
  if (rows[0] === undefined) throw noSuchRun(name);
  return rows[0].state;
}
