// What Virga itself tells a project: events of its own types, published to the project as anybody's would be, so that functions get them by
// an `event` trigger. Deployments do it today; alarms, budgets, storage, tables and auth have this place to publish from.
//
//   the transaction in which it happens ─▶ a row ─▶ committed ─▶ bus.send ─▶ the row goes
//
// Invariants: what happened is told, and what was rolled back is not; killed anywhere between, it is told at the next start, with the
// id that the bus knows; those of a project come in their order. Recorded by control/new-state.ts, published by control/ and server/platform-news.ts.
import { newId } from '../lib/ids.ts';
import { VirgaError } from '../protocol/errors.ts';
import { EventType } from '../protocol/events.ts';
import type { CloudEvent, DeploymentCreated } from '../protocol/events.ts';
import type { Records, Sql } from '../store/records/records.ts';
import type { Publisher } from './publish.ts';

export interface PlatformEvent<Data = unknown> {
  /** One of protocol/events.ts. */
  type: string;
  /** Below `/projects/<project>`, e.g. `/buckets/photos`; default: the project itself. */
  path?: string;
  subject?: string;
  data: Data;
}

export interface PlatformEventParts {
  records: Records;
  publisher: Pick<Publisher, 'publishEvents'>;
  log: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
}

/** Of one event; what is more is counted. */
const CHANGES_MAX = 500;
const AT_ONCE = 100;
/** An event with which the bus would find the same fault again. */
const NEVER: ReadonlySet<string> = new Set(['request_too_large', 'invalid_request']);

export function deploymentCreated({ changes, ...data }: DeploymentCreated): PlatformEvent<DeploymentCreated> {
  const left = changes.length - CHANGES_MAX;
  const told = { ...data, changes: changes.slice(0, CHANGES_MAX), ...(left > 0 ? { more: left } : {}) };
  return { type: EventType.deployment, subject: String(data.deployment), data: told };
}

/** In the transaction in which it happens. `at`: Unix ms. */
export async function recordPlatformEvent(
  sql: Sql,
  project: string,
  { type, path = '', subject, data, at }: PlatformEvent & { at: number },
): Promise<void> {
  const event: CloudEvent = {
    specversion: '1.0',
    id: newId('evt', at),
    source: `/projects/${project}${path}`,
    type,
    time: new Date(at).toISOString(),
    ...(subject === undefined ? {} : { subject }),
    datacontenttype: 'application/json',
    data,
  };
  await sql.query('insert into platform_events (project, at, event) values ($1, $2, $3)', [project, Math.floor(at), JSON.stringify(event)]);
}

/** Those of one project, after the commit. Answers whether all of them are on the bus; it never rejects. */
export async function publishPlatformEvents(parts: PlatformEventParts, project: string): Promise<boolean> {
  try {
    while ((await parts.records.transaction((sql) => publishSome(parts, sql, project))) === AT_ONCE);
    return true;
  } catch (error) {
    parts.log('warn', 'what happened to a project could not be told yet, and will be', { project, reason: String(error) });
    return false;
  }
}

/** Projects with some that happened before `at`, Unix ms. */
export async function projectsToTell(sql: Sql, at: number): Promise<string[]> {
  const { rows } = await sql.query<{ project: string }>('select distinct project from platform_events where at <= $1', [at]);
  return rows.map(({ project }) => project);
}

/** Another process that is at the same rows is waited for. */
async function publishSome({ publisher, log }: PlatformEventParts, sql: Sql, project: string): Promise<number> {
  const { rows } = await sql.query<{ sequence: string; event: string }>(
    `select sequence, event from platform_events where project = $1 order by sequence limit ${AT_ONCE} for update`,
    [project],
  );
  for (const { event } of rows) {
    try {
      await publisher.publishEvents(project, [JSON.parse(event) as CloudEvent], { once: true });
    } catch (error) {
      if (!(error instanceof VirgaError && NEVER.has(error.code))) throw error;
      log('warn', 'what happened to a project cannot be told', { project, reason: error.message });
    }
  }
  await sql.query('delete from platform_events where sequence = any($1::bigint[])', [rows.map(({ sequence }) => sequence)]);
  return rows.length;
}
