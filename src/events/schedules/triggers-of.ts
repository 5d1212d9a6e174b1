// Who is called when a schedule is due, by what is deployed. A deployment never changes, so what was read of one is kept: for as many
// projects as have schedules. Called by scheduler.ts and by-hand.ts.
import type { EventsSection } from '../../protocol/sources/sources.ts';
import type { Sql } from '../../store/records/records.ts';
import { topologyOf } from '../topology.ts';
import type { Topology } from '../topology.ts';
import type { ScheduledTriggers } from './due-event.ts';

interface Asked {
  project: string;
  name: string;
  deployment: string | null;
}

export class TriggersOf {
  readonly #known = new Map<string, { deployment: string | null; scheduled: Topology['scheduled'] }>();

  async of(sql: Sql, rows: Asked[]): Promise<(row: Asked) => ScheduledTriggers> {
    const missing = rows.filter(({ project, deployment }) => deployment !== null && this.#known.get(project)?.deployment !== deployment);
    if (missing.length > 0) {
      const found = await sql.query<{ id: string; project: string; events: EventsSection | null }>(
        `select id, project, state -> 'events' as events from deployments where id = any($1::bigint[])`,
        [missing.map(({ deployment }) => deployment)],
      );
      for (const { id, project, events } of found.rows)
        this.#known.set(project, { deployment: id, scheduled: topologyOf(project, events ?? {}).scheduled });
    }
    return ({ project, name }) => this.#known.get(project)?.scheduled.get(name) ?? [];
  }
}
