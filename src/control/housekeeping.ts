// What has to go, goes here, in small bounded steps on an interval: records past their retention, deployments beyond
// the number that is kept, versions that no kept deployment names, artifacts that no version names, queues
// that are named no more and empty. Invariant: whatever a
// kept deployment or a run of a workflow needs stays, the highest version of a function stays (its number must not be used twice), and so does
// what was uploaded lately (it is about to be deployed). Started by server/control.ts.
import { deleteInvocationsBefore } from '../observe/invocation-queries.ts';
import { deleteLogsBefore } from '../observe/log-queries.ts';
import { deleteUsageBefore } from '../observe/usage-counters.ts';
import type { ArtifactsInUse } from './artifacts-in-use.ts';
import type { ControlContext } from './context.ts';
import { dropLeftQueues } from './left-queues.ts';

/** Counters of plans that nothing was added to for so long: longer than the longest period. */
const USAGE_KEPT_MS = 62 * 86_400_000;
const ROWS_AT_ONCE = 5_000;
const BATCHES_MAX = 200;
const ARTIFACTS_AT_ONCE = 100;

/** Of an artifact `a`: no version is made of it, and no kept deployment serves it as a folder. */
const UNUSED = `not exists (select 1 from versions v where v.artifact = a.sha256)
        and not exists (select 1 from deployments d, jsonb_each_text(coalesce(d.state -> 'folders', '{}')) f where f.value = a.sha256)`;

export interface Swept {
  invocations: number;
  logLines: number;
  usage: number;
  deployments: number;
  versions: number;
  artifacts: number;
  /** Blobs that no row knows: an upload was cut off by a crash. */
  orphans: number;
  /** Queues that are named no more, and empty. */
  queues: number;
}

type Needs = Pick<ControlContext, 'records' | 'bus' | 'blobs' | 'artifactFolders' | 'limits' | 'now'> & { artifactsInUse: ArtifactsInUse };

/** One round. Stops early, between two steps, when the signal aborts. */
export async function sweep(needs: Needs, signal: AbortSignal): Promise<Swept> {
  const { records, limits, now } = needs;
  const before = now() - limits.retentionHours * 3_600_000;
  return {
    invocations: await inBatches(signal, () => deleteInvocationsBefore(records, before, ROWS_AT_ONCE)),
    logLines: await inBatches(signal, () => deleteLogsBefore(records, before, ROWS_AT_ONCE)),
    usage: await inBatches(signal, () => deleteUsageBefore(records, now() - USAGE_KEPT_MS, ROWS_AT_ONCE)),
    deployments: signal.aborted ? 0 : await removeOldDeployments(needs),
    versions: signal.aborted ? 0 : await removeUnusedVersions(needs),
    artifacts: signal.aborted ? 0 : await removeUnusedArtifacts(needs, signal),
    orphans: signal.aborted ? 0 : await removeOrphans(needs, signal),
    queues: signal.aborted ? 0 : await dropLeftQueues(needs, signal),
  };
}

async function inBatches(signal: AbortSignal, removeSome: () => Promise<number>): Promise<number> {
  let removed = 0;
  for (let batch = 0; batch < BATCHES_MAX && !signal.aborted; batch++) {
    const some = await removeSome();
    removed += some;
    if (some < ROWS_AT_ONCE) break;
  }
  return removed;
}

async function removeOldDeployments({ records, limits }: Needs): Promise<number> {
  const { rowCount } = await records.query(
    `delete from deployments where id in (
       select id from (select d.id, d.project, row_number() over (partition by d.project order by d.id desc) as place from deployments d) as placed
        where place > $1 and not exists (select 1 from projects p where p.current_deployment = placed.id) limit $2)`,
    [limits.deploymentsKept, ROWS_AT_ONCE],
  );
  return rowCount ?? 0;
}

async function removeUnusedVersions({ records, limits, now }: Needs): Promise<number> {
  // Project by project, under the lock that a deploy takes: it may be about to name an old version again.
  const { rows: projects } = await records.query<{ name: string }>('select distinct project as name from versions');
  let removed = 0;
  for (const project of projects) {
    removed += await records.transaction(async (sql) => {
      await sql.query('select 1 from projects where name = $1 for update', [project.name]);
      const { rowCount } = await sql.query(
        `delete from versions v where v.project = $1 and v.created_at < to_timestamp($2)
            and v.number < (select max(number) from versions m where m.project = v.project and m.function = v.function)
            and (v.function, v.number) not in (select r.function, r.version from workflow_runs r where r.project = $1 and r.state <> 'succeeded')
            and not exists (select 1 from deployments d where d.project = v.project
                              and exists (select 1 from jsonb_path_query(d.state -> 'functions' -> v.function, 'lax $.**.version') as named
                                           where named = to_jsonb(v.number)))`,
        [project.name, (now() - limits.artifactGraceMs) / 1_000],
      );
      return rowCount ?? 0;
    });
  }
  return removed;
}

async function removeUnusedArtifacts(needs: Needs, signal: AbortSignal): Promise<number> {
  const { records, limits, now, artifactsInUse } = needs;
  const before = (now() - limits.artifactGraceMs) / 1_000;
  const { rows } = await records.query<{ sha256: string }>(
    `select sha256 from artifacts a where created_at < to_timestamp($1)
        and ${UNUSED} order by created_at limit $2`,
    [before, ARTIFACTS_AT_ONCE],
  );
  let removed = 0;
  for (const { sha256 } of rows) {
    if (signal.aborted) break;
    if (await artifactsInUse.removing(sha256, () => removeArtifact(needs, sha256, before))) removed += 1;
  }
  return removed;
}

/** The row lock keeps deploys off (they take a key share lock) until both the row and the files are gone. */
async function removeArtifact({ records, blobs, artifactFolders }: Needs, sha256: string, before: number): Promise<boolean> {
  return await records.transaction(async (sql) => {
    const { rows } = await sql.query('select 1 from artifacts where sha256 = $1 and created_at < to_timestamp($2) for update skip locked', [
      sha256,
      before,
    ]);
    if (rows.length === 0) return false;
    // A statement of its own, so that it sees a version that was committed while the lock was waited for.
    const { rowCount } = await sql.query(`delete from artifacts a where sha256 = $1 and ${UNUSED}`, [sha256]);
    if (rowCount !== 1) return false;
    await artifactFolders.remove(sha256);
    await blobs.delete(sha256);
    return true;
  });
}

async function removeOrphans({ records, blobs, artifactFolders, artifactsInUse }: Needs, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for await (const { sha256 } of blobs.list()) {
    if (signal.aborted || removed >= ARTIFACTS_AT_ONCE) break;
    const gone = await artifactsInUse.removing(sha256, async () => {
      const { rows } = await records.query('select 1 from artifacts where sha256 = $1', [sha256]);
      if (rows.length > 0) return false;
      await artifactFolders.remove(sha256);
      await blobs.delete(sha256);
      return true;
    });
    if (gone) removed += 1;
  }
  return removed;
}
