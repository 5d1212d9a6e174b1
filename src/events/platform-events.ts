// What Virga itself tells a project: events of its own types, published to the project as anybody's would be, so that functions get them by
// an `event` trigger. Deployments do it today; alarms, budgets, storage, tables and auth have this place to publish from.
// Invariant: what is told is done already, and is not undone because telling it failed. Called by control/new-state.ts.
import { newId } from '../lib/ids.ts';
import { EventType } from '../protocol/events.ts';
import type { CloudEvent, DeploymentCreated } from '../protocol/events.ts';
import type { Publisher } from './publish.ts';

export interface PlatformEvent<Data = unknown> {
  /** One of protocol/events.ts. */
  type: string;
  /** Below `/projects/<project>`, e.g. `/buckets/photos`; default: the project itself. */
  path?: string;
  subject?: string;
  data: Data;
}

export function deploymentCreated(data: DeploymentCreated): PlatformEvent<DeploymentCreated> {
  return { type: EventType.deployment, subject: String(data.deployment), data };
}

/** Resolves when it is stored; `nowMs`: when it happened. */
export async function publishPlatformEvent(
  publisher: Pick<Publisher, 'publishEvents'>,
  project: string,
  { type, path = '', subject, data, nowMs }: PlatformEvent & { nowMs: number },
): Promise<void> {
  const event: CloudEvent = {
    specversion: '1.0',
    id: newId('evt', nowMs),
    source: `/projects/${project}${path}`,
    type,
    time: new Date(nowMs).toISOString(),
    ...(subject === undefined ? {} : { subject }),
    datacontenttype: 'application/json',
    data,
  };
  await publisher.publishEvents(project, [event]);
}
