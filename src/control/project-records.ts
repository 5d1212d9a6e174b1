// The SQL of projects, versions and deployments. Invariant: whoever changes a project holds its row lock (lockProject)
// and reads after taking it, in a statement of its own: a statement that waited for the lock still sees what was before.
import type { FunctionItem } from '../protocol/control-api.ts';
import { VirgaError } from '../protocol/errors.ts';
import { completeSettings } from '../protocol/settings.ts';
import type { ProjectState, VersionSettings } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';

export interface StoredVersion {
  function: string;
  number: number;
  artifact: string;
  fingerprint: string;
  settings: VersionSettings;
  createdAt: string;
}

export interface StoredProject {
  name: string;
  createdAt: string;
  deployment: number | null;
  state: ProjectState;
  /** Of the current state, by function. */
  versions: Map<string, StoredVersion>;
}

const EMPTY: ProjectState = { functions: {}, routes: [] };

/** Creates the project if need be and takes its row lock until the end of the transaction. */
export async function lockOrCreateProject(sql: Sql, name: string): Promise<{ created: boolean }> {
  // Between the two statements somebody may remove the project that was in the way.
  for (let attempt = 0; attempt < 3; attempt++) {
    const { rowCount } = await sql.query('insert into projects (name) values ($1) on conflict do nothing', [name]);
    if (await tryLockProject(sql, name)) return { created: rowCount === 1 };
  }
  throw new VirgaError('conflict', `project '${name}' is being removed at this very moment; try again`);
}

/** Serialises everything that changes this project. Fails with `project_not_found`. */
export async function lockProject(sql: Sql, name: string): Promise<void> {
  if (!(await tryLockProject(sql, name))) throw projectNotFound(name);
}

async function tryLockProject(sql: Sql, name: string): Promise<boolean> {
  const { rows } = await sql.query('select 1 from projects where name = $1 for update', [name]);
  return rows.length > 0;
}

export function projectNotFound(name: string): VirgaError {
  return new VirgaError('project_not_found', `there is no project '${name}'; \`virga projects\` lists those that are`);
}

export async function findProject(sql: Sql, name: string): Promise<StoredProject | undefined> {
  const { rows } = await sql.query<{ created_at: Date; current_deployment: string | null; state: ProjectState | null }>(
    `select p.created_at, p.current_deployment, d.state
       from projects p left join deployments d on d.id = p.current_deployment where p.name = $1`,
    [name],
  );
  const row = rows[0];
  if (row === undefined) return undefined;
  const state = row.state ?? EMPTY;
  return {
    name,
    createdAt: row.created_at.toISOString(),
    deployment: row.current_deployment === null ? null : Number(row.current_deployment),
    state,
    versions: await versionsOf(sql, name, state),
  };
}

export async function requireProject(sql: Sql, name: string): Promise<StoredProject> {
  const project = await findProject(sql, name);
  if (project === undefined) throw projectNotFound(name);
  return project;
}

const VERSION_COLUMNS = 'v.function, v.number, v.artifact, v.fingerprint, v.settings, v.created_at';
type VersionRow = Omit<StoredVersion, 'createdAt'> & { created_at: Date };

/** The versions that a state names, by function. */
export async function versionsOf(sql: Sql, project: string, state: ProjectState): Promise<Map<string, StoredVersion>> {
  const wanted = Object.entries(state.functions);
  if (wanted.length === 0) return new Map();
  const { rows } = await sql.query<VersionRow>(
    `select ${VERSION_COLUMNS} from versions v
       join unnest($2::text[], $3::int[]) as wanted (function, number) using (function, number) where v.project = $1`,
    [project, wanted.map(([fn]) => fn), wanted.map(([, { version }]) => version)],
  );
  return new Map(rows.map((row) => [row.function, versionOf(row)]));
}

/** The latest version of each of these functions that has one of these fingerprints. */
export async function versionsByFingerprint(sql: Sql, project: string, wanted: Map<string, string>): Promise<Map<string, StoredVersion>> {
  if (wanted.size === 0) return new Map();
  const { rows } = await sql.query<VersionRow>(
    `select distinct on (v.function) ${VERSION_COLUMNS} from versions v
       join unnest($2::text[], $3::text[]) as wanted (function, fingerprint) using (function, fingerprint)
      where v.project = $1 order by v.function, v.number desc`,
    [project, [...wanted.keys()], [...wanted.values()]],
  );
  return new Map(rows.map((row) => [row.function, versionOf(row)]));
}

/** Highest number that each of these functions ever had; a number is never used twice. */
export async function highestVersions(sql: Sql, project: string, functions: string[]): Promise<Map<string, number>> {
  const { rows } = await sql.query<{ function: string; number: number }>(
    'select function, max(number) as number from versions where project = $1 and function = any($2) group by function',
    [project, functions],
  );
  return new Map(rows.map((row) => [row.function, row.number]));
}

export async function insertVersions(sql: Sql, project: string, versions: StoredVersion[]): Promise<void> {
  if (versions.length === 0) return;
  await sql.query(
    `insert into versions (project, function, number, artifact, settings, fingerprint)
     select $1, * from unnest($2::text[], $3::int[], $4::text[], $5::jsonb[], $6::text[])`,
    [
      project,
      versions.map((version) => version.function),
      versions.map((version) => version.number),
      versions.map((version) => version.artifact),
      versions.map((version) => JSON.stringify(version.settings)),
      versions.map((version) => version.fingerprint),
    ],
  );
}

export interface NewDeployment {
  project: string;
  kind: 'deploy' | 'rollback';
  state: ProjectState;
  createdBy: string;
}

/** Records a deployment, makes it current, and tells the edges at commit. Answers its id. */
export async function insertDeployment(sql: Sql, deployment: NewDeployment): Promise<number> {
  const { rows } = await sql.query<{ id: string }>(
    `with made as (insert into deployments (project, kind, state, created_by) values ($1, $2, $3, $4) returning id),
          current as (update projects set current_deployment = made.id from made where name = $1)
     select id, pg_notify('virga_deployments', id::text) from made`,
    [deployment.project, deployment.kind, JSON.stringify(deployment.state), deployment.createdBy],
  );
  return Number(rows[0]!.id);
}

/** A project's current functions as the API shows them, by name. */
export function functionItems(project: StoredProject): FunctionItem[] {
  return [...project.versions.values()]
    .toSorted((a, b) => (a.function < b.function ? -1 : 1))
    .map((version) => ({
      name: version.function,
      version: version.number,
      runtime: version.settings.runtime,
      settings: version.settings,
      artifact: version.artifact,
      createdAt: version.createdAt,
      routes: project.state.routes
        .filter((route) => route.function === version.function)
        .map(({ path, methods, conditions }) => ({ path, methods, ...(conditions === undefined ? {} : { conditions }) })),
    }));
}

export function versionOf(row: VersionRow): StoredVersion {
  const { created_at: createdAt, ...version } = row;
  return { ...version, settings: completeSettings(version.settings), createdAt: createdAt.toISOString() };
}
