// Reads what every project's current deployment is from the records and compiles it for the read model.
// Invariant: one query, so one consistent snapshot. Called by server/read-model-feed.ts at start and after a notification.
import { topologyOf } from '../events/topology.ts';
import type { DeployedVersion } from '../functions/version.ts';
import { completeSettings } from '../protocol/settings.ts';
import type { ProjectState, Route, VersionSettings } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import { withFolderRoots } from './folder-roots.ts';
import type { ReadModel, ServedProject } from './read-model.ts';
import { RouteTable } from './route-table.ts';
import type { TableRoute } from './route-table.ts';
import type { CompiledTarget, RouteCompiler, RouteVersions } from './stage.ts';

interface Row {
  project: string;
  deployment: string;
  /** null: what is known of this deployment is all there is to know. */
  state: ProjectState | null;
  /** The versions that the state names. */
  versions: { function: string; number: number; artifact: string; settings: VersionSettings; createdAt: number }[] | null;
}

export interface Loaded {
  projects: ServedProject[];
  domains: Record<string, string>;
  deployment: number;
}

/**
 * A deployment never changes, so what was compiled of it is taken from `known`: a deployment of one project costs the others
 * nothing.
 */
export async function loadProjects(sql: Sql, compiler: RouteCompiler, known: ReadModel): Promise<Loaded> {
  const { rows } = await sql.query<Row>(
    `select p.name as project, d.id as deployment, case when not d.id = any($1) then d.state end as state,
            case when not d.id = any($1) then
              (select jsonb_agg(jsonb_build_object('function', v.function, 'number', v.number, 'artifact', v.artifact, 'settings', v.settings,
                                                   'createdAt', extract(epoch from v.created_at) * 1000))
                 from jsonb_each(d.state->'functions') f
                cross join lateral (select distinct named::int as number from jsonb_path_query(f.value, 'lax $.**.version') named) named
                 join versions v on v.project = p.name and v.function = f.key and v.number = named.number) end as versions
       from projects p join deployments d on d.id = p.current_deployment`,
    [[...known.projects()].map((project) => project.deployment)],
  );
  // A project that was removed takes its deployments along: the highest id ever given out is the sequence's.
  const highest = await sql.query<{ id: string | null; domains: Record<string, string> | null }>(
    `select max(id) as id, (select jsonb_object_agg(name, project) from domains where claimed and proof is not null) as domains from deployments`,
  );
  const projects = rows.map((row) => (row.state === null ? known.project(row.project)! : compile(row, row.state, compiler)));
  return { projects, domains: highest.rows[0]?.domains ?? {}, deployment: Number(highest.rows[0]?.id ?? 0) };
}

function compile(row: Row, state: ProjectState, compiler: RouteCompiler): ServedProject {
  const stored = new Map<string, DeployedVersion>();
  for (const { settings, number, ...v } of row.versions ?? []) {
    stored.set(`${v.function}@${number}`, { ...v, project: row.project, version: number, settings: completeSettings(settings) });
  }
  const served = new Map<string, RouteVersions>();
  for (const [fn, one] of Object.entries(state.functions)) {
    const versions = versionsOf(one, (number) => stored.get(`${fn}@${number}`));
    if (versions !== undefined) served.set(fn, versions);
  }
  const { gateway = {}, events: { async = {}, workflows = {} } = {} } = state;
  const deployment = Number(row.deployment);
  const routes = state.routes.flatMap((route): TableRoute[] => {
    const versions = route.function === undefined ? undefined : served.get(route.function);
    const to = targetOf(route, { versions, folders: state.folders ?? {} }, compiler);
    const policy = { ...gateway.defaults, ...route.policy };
    const rules = route.function === undefined ? undefined : async[route.function];
    const workflow = route.function === undefined ? undefined : workflows[route.function];
    const source = {
      project: row.project,
      route,
      policy,
      gateway,
      version: to?.version,
      versions,
      async: rules,
      workflow,
      routes: state.routes,
    };
    return to === undefined ? [] : [{ route, to, stages: compiler.stages(source) }];
  });
  for (const { route, local, policy: own } of compiler.own({
    project: row.project,
    deployment,
    routes: state.routes,
    gateway,
    async,
    workflows,
  })) {
    // What the project says of all its routes holds for them, but not what it asks of requests to its functions.
    const { validate: _, ...defaults } = gateway.defaults ?? {};
    const policy = own ?? defaults;
    const source = { project: row.project, route, policy, gateway, version: undefined, versions: undefined, routes: state.routes };
    routes.push({ route, to: { local }, stages: compiler.stages(source) });
  }
  return {
    name: row.project,
    deployment,
    functions: new Map([...served].map(([fn, { live }]) => [fn, live])),
    canaries: new Map([...served].flatMap(([fn, { canary }]) => (canary === undefined ? [] : [[fn, canary]]))),
    versions: [...served.values()].flatMap(({ live, canary, shadow }) => [
      ...new Set([live, canary?.version, shadow?.version].filter((version) => version !== undefined)),
    ]),
    routes: new RouteTable(withFolderRoots(routes)),
    topology: topologyOf(row.project, state.events, served.keys()),
  };
}

/** undefined: the version that gets the requests is gone. */
function versionsOf(
  { version, live, shadow }: ProjectState['functions'][string],
  find: (number: number) => DeployedVersion | undefined,
): RouteVersions | undefined {
  const main = find(live?.version ?? version);
  if (main === undefined) return undefined;
  const tried = live?.canary === undefined ? undefined : find(live.canary.version);
  const copied = shadow === undefined ? undefined : find(shadow.version);
  return {
    pinned: live !== undefined,
    live: main,
    canary: tried === undefined || tried === main ? undefined : { ...live!.canary!, version: tried },
    shadow: copied === undefined ? undefined : { percent: shadow!.percent, headers: shadow!.headers, version: copied },
  };
}

/** undefined: nothing that this Virga could serve. */
function targetOf(
  route: Route,
  { versions, folders }: { versions: RouteVersions | undefined; folders: Record<string, string> },
  compiler: RouteCompiler,
): CompiledTarget | undefined {
  if (route.function === undefined) {
    const local = compiler.local(route, folders);
    return local === undefined ? undefined : { local };
  }
  return versions === undefined ? undefined : { version: versions.live };
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
