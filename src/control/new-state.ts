// Moves a project to a new state: the part that deploy and rollback share. Invariant: called inside a transaction that
// holds the project's lock; either everything is written (versions, deployment, what is current, the notice to the
// edges) or nothing; without a change nothing is written at all. Called by deploy-project.ts and rollback-project.ts.
import type { Change, DeployAnswer } from '../protocol/control-api.ts';
import { deploySchedules } from '../events/schedules/deployed.ts';
import type { EventsSection } from '../protocol/sources/sources.ts';
import { VirgaError } from '../protocol/errors.ts';
import type { GatewaySection } from '../protocol/policies/policy.ts';
import type { Traffic } from '../protocol/policies/traffic.ts';
import type { ProjectState, Route } from '../protocol/settings.ts';
import type { EdgeStats } from '../protocol/stats.ts';
import type { Sql } from '../store/records/records.ts';
import { deploymentCreated, publishPlatformEvents, recordPlatformEvent } from '../events/platform-events.ts';
import { anyChange, changesBetween } from './changes.ts';
import type { ControlContext } from './context.ts';
import { claimDomains, domainsOf, requireDomainsFree, unprovenWarning } from './domains.ts';
import { checkEnforcement, refuseRedirect } from './enforcement.ts';
import { keptWarning, requireSameOrder } from './kept-messages.ts';
import { waitsWarning } from './left-waits.ts';
import { insertDeployment, insertVersions, trafficIn } from './project-records.ts';
import type { StoredProject, StoredVersion } from './project-records.ts';

export interface NewState {
  project: string;
  kind: 'deploy' | 'rollback';
  createdBy: string;
  /** undefined: the project does not exist yet. */
  before: StoredProject | undefined;
  created: boolean;
  functions: Map<string, StoredVersion>;
  /** Of functions that say which of their versions get their requests. */
  traffic: ReadonlyMap<string, Traffic>;
  /** Those of `functions` that are not stored yet. */
  fresh: StoredVersion[];
  routes: Route[];
  gateway: GatewaySection | undefined;
  folders: Record<string, string> | undefined;
  events: EventsSection | undefined;
  dryRun: boolean;
}

export interface Settled {
  deployment: number | null;
  changes: Change[];
  changed: boolean;
  warning: string | undefined;
}

export async function settle(
  sql: Sql,
  next: NewState,
  {
    blobs,
    limits,
    egressPrivate,
    urls,
    domains,
    bus,
    now,
    stats,
  }: Pick<ControlContext, 'blobs' | 'bus' | 'limits' | 'egressPrivate' | 'urls' | 'domains' | 'now'> & { stats: EdgeStats | undefined },
): Promise<Settled> {
  const before = {
    functions: next.before?.versions ?? new Map<string, StoredVersion>(),
    traffic: trafficByFunction(next.before?.state),
    routes: next.before?.state.routes ?? [],
    gateway: next.before?.state.gateway,
    folders: next.before?.state.folders,
    events: next.before?.state.events,
  };
  const moved = [...next.functions.values()].filter((version) => before.functions.get(version.function)?.number !== version.number);
  const packed = Object.entries(next.folders ?? {}).filter(([folder, sha256]) => before.folders?.[folder] !== sha256);
  await requireArtifacts(sql, blobs, [
    ...moved.map((version) => ({ artifact: version.artifact, of: `function '${version.function}'` })),
    ...packed.map(([folder, artifact]) => ({ artifact, of: `the folder '${folder}'` })),
  ]);
  const names = next.gateway?.domains ?? [];
  await requireDomainsFree(sql, next.project, names);
  const unheld = checkEnforcement(moved, { sandbox: stats?.sandbox, sandboxMemoryMiB: limits.sandboxMemoryMiB, egressPrivate });
  const events = {
    project: next.project,
    before: { events: before.events, functions: before.functions.keys() },
    after: { events: next.events, functions: next.functions.keys() },
  };
  await requireSameOrder(sql, bus, events);
  const kept = await keptWarning(bus, events);
  const waits = await waitsWarning(sql, events);
  const warning = async (): Promise<string | undefined> => {
    const unproven = names.length === 0 ? undefined : unprovenWarning(await domainsOf(sql, next.project));
    return [unheld, unproven, kept, waits].filter((text) => text !== undefined).join('; ') || undefined;
  };
  if (next.gateway?.https === 'redirect' && !urls.https) refuseRedirect(next.project);
  const changes = changesBetween(before, {
    functions: next.functions,
    traffic: next.traffic,
    routes: next.routes,
    gateway: next.gateway,
    folders: next.folders,
    events: next.events,
  });
  if (next.created) changes.unshift({ kind: 'project', name: next.project, change: 'create', detail: [] });
  const changed = anyChange(changes);
  if (!changed || next.dryRun) return { deployment: next.before?.deployment ?? null, changes, changed, warning: await warning() };
  await insertVersions(sql, next.project, next.fresh);
  const functions = Object.fromEntries(
    [...next.functions].map(([name, version]) => [name, { version: version.number, ...next.traffic.get(name) }]),
  );
  const state = {
    functions,
    routes: next.routes,
    ...(next.gateway === undefined ? {} : { gateway: next.gateway }),
    ...(next.folders === undefined ? {} : { folders: next.folders }),
    ...(next.events === undefined ? {} : { events: next.events }),
  };
  const { project, kind, createdBy: by } = next;
  const deployment = await insertDeployment(sql, { project, kind, state, createdBy: by });
  const named = changes.map(({ kind: what, name, change }) => ({ kind: what, name, change }));
  await recordPlatformEvent(sql, project, { ...deploymentCreated({ deployment, kind, by, changes: named }), at: now() });
  const never = await deploySchedules(sql, {
    project: next.project,
    schedules: next.events?.schedules ?? {},
    now: now(),
    random: Math.random,
  });
  await claimDomains(sql, { project: next.project, names, trusted: domains.trusted });
  const texts = [
    await warning(),
    ...never.map((name) => `the schedule '${name}' will never be due: its \`at\`, or its \`end\`, has passed`),
  ];
  return { deployment, changes, changed, warning: texts.filter((text) => text !== undefined).join('; ') || undefined };
}

export function trafficByFunction(state: ProjectState | undefined): Map<string, Traffic> {
  return new Map(Object.entries(state?.functions ?? {}).map(([name, one]) => [name, trafficIn(one)]));
}

/**
 * Locks the artifacts against their removal until the end of the transaction and fails with `artifacts_missing`. The
 * blob store is asked too: a deployment must not stand on bytes that somebody deleted by hand.
 */
async function requireArtifacts(sql: Sql, blobs: ControlContext['blobs'], needed: { artifact: string; of: string }[]): Promise<void> {
  const wanted = [...new Set(needed.map(({ artifact }) => artifact))].sort();
  if (wanted.length === 0) return;
  const { rows } = await sql.query<{ sha256: string }>(
    'select sha256 from artifacts where sha256 = any($1) order by sha256 for key share',
    [wanted],
  );
  const known = new Set(rows.map((row) => row.sha256));
  const missing: string[] = [];
  for (const sha256 of wanted) if (!known.has(sha256) || !(await blobs.has(sha256))) missing.push(sha256);
  if (missing.length === 0) return;
  const { of } = needed.find(({ artifact }) => artifact === missing[0])!;
  const more = missing.length > 1 ? ` (and ${missing.length - 1} more, see detail)` : '';
  const message = `the artifact ${missing[0]} of ${of} was not uploaded${more}; PUT it to /v1/artifacts/${missing[0]} first`;
  throw new VirgaError('artifacts_missing', message, { detail: { missing } });
}

/** Waits, bounded, until the edge serves what was committed. The deployment stands whether it does or not. */
export async function deployAnswer(
  settled: Settled,
  {
    project,
    dryRun,
    edge,
    records,
    publisher,
    refreshTopologies,
    urls,
    log,
  }: Pick<ControlContext, 'edge' | 'records' | 'publisher' | 'refreshTopologies' | 'urls' | 'log'> & { project: string; dryRun: boolean },
): Promise<DeployAnswer> {
  const warnings = settled.warning === undefined ? [] : [settled.warning];
  if (settled.changed && !dryRun && settled.deployment !== null) {
    const known = refreshTopologies().then(
      () => true,
      () => false,
    );
    try {
      await edge.sync(settled.deployment);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log('warn', 'the edge did not confirm a deployment', { project, deployment: settled.deployment, reason });
      warnings.push(`deployed, but the edge has not confirmed it yet (${reason}); it takes it up by itself`);
    }
    // Whoever does not know the triggers of this deployment leaves it to server/platform-news.ts.
    if (await known) await publishPlatformEvents({ records, publisher, log }, project);
  }
  const { deployment, changes, changed } = settled;
  return {
    deployment,
    project,
    url: urls.project(project),
    changes,
    changed,
    dryRun,
    ...(warnings.length > 0 && { warning: warnings.join('; ') }),
  };
}
