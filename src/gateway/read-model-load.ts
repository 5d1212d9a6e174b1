// Reads what every project's current deployment is from the records and compiles it for the read model.
// Invariant: one query, so one consistent snapshot. Called by server/read-model-feed.ts at start and after a notification.
import type { DeployedVersion } from '../functions/version.ts';
import { completeSettings } from '../protocol/settings.ts';
import type { ProjectState, Route, VersionSettings } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import type { ServedProject } from './read-model.ts';
import { RouteTable } from './route-table.ts';
import type { TableRoute } from './route-table.ts';
import type { CompiledTarget, RouteCompiler } from './stage.ts';

interface Row {
  project: string;
  deployment: string;
  state: ProjectState;
  /** Function name → its current version. */
  versions: { function: string; number: number; artifact: string; settings: VersionSettings; createdAt: number }[];
}

export async function loadProjects(sql: Sql, compiler: RouteCompiler): Promise<{ projects: ServedProject[]; deployment: number }> {
  const { rows } = await sql.query<Row>(
    `select p.name as project, d.id as deployment, d.state,
            coalesce((select jsonb_agg(jsonb_build_object('function', v.function, 'number', v.number, 'artifact', v.artifact, 'settings', v.settings,
                                                           'createdAt', extract(epoch from v.created_at) * 1000))
                      from jsonb_each(d.state->'functions') f
                      join versions v on v.project = p.name and v.function = f.key and v.number = (f.value->>'version')::integer), '[]') as versions
       from projects p join deployments d on d.id = p.current_deployment`,
  );
  // A project that was removed takes its deployments along: the highest id ever given out is the sequence's.
  const highest = await sql.query<{ id: string | null }>(`select max(id) as id from deployments`);
  return { projects: rows.map((row) => compile(row, compiler)), deployment: Number(highest.rows[0]?.id ?? 0) };
}

function compile(row: Row, compiler: RouteCompiler): ServedProject {
  const functions = new Map<string, DeployedVersion>();
  for (const v of row.versions) {
    functions.set(v.function, {
      project: row.project,
      function: v.function,
      version: v.number,
      artifact: v.artifact,
      settings: completeSettings(v.settings),
      createdAt: v.createdAt,
    });
  }
  const { gateway = {} } = row.state;
  const routes = row.state.routes.flatMap((route): TableRoute[] => {
    const to = targetOf(route, functions, compiler);
    const source = { project: row.project, route, policy: { ...gateway.defaults, ...route.policy }, gateway };
    return to === undefined ? [] : [{ route, to, stages: compiler.stages(source) }];
  });
  const deployment = Number(row.deployment);
  for (const { route, local } of compiler.own({ project: row.project, deployment, routes: row.state.routes, gateway })) {
    // What the project says of all its routes holds for them, but not what it asks of requests to its functions.
    const { validate: _, ...policy } = gateway.defaults ?? {};
    routes.push({ route, to: { local }, stages: compiler.stages({ project: row.project, route, policy, gateway }) });
  }
  return { name: row.project, deployment, functions, routes: new RouteTable(routes) };
}

/** undefined: nothing that this Virga could serve. */
function targetOf(route: Route, functions: ReadonlyMap<string, DeployedVersion>, compiler: RouteCompiler): CompiledTarget | undefined {
  if (route.function === undefined) {
    const local = compiler.local(route);
    return local === undefined ? undefined : { local };
  }
  const version = functions.get(route.function);
  return version === undefined ? undefined : { version };
}

/** A version that need not be current: for direct invocations that name one. */
export async function loadVersion(
  sql: Sql,
  name: { project: string; function: string; version: number },
): Promise<DeployedVersion | undefined> {
  const { rows } = await sql.query<{ artifact: string; settings: VersionSettings; createdAt: number }>(
    'select artifact, settings, (extract(epoch from created_at) * 1000)::float8 as "createdAt" from versions where project = $1 and function = $2 and number = $3',
    [name.project, name.function, name.version],
  );
  const row = rows[0];
  return row === undefined ? undefined : { ...name, ...row, settings: completeSettings(row.settings) };
}
