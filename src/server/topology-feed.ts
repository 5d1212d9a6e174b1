// What projects have on the bus, held in memory by the control role, which publishes for HTTP: compiled from the current deployments, and
// anew after each notification of one. Invariants: a project is swapped whole; a project that is not known is asked for once, so that what
// was just deployed is there, and names that do not exist cost the database a bounded number of questions. Made by control.ts.
import type pg from 'pg';
import { topologyOf } from '../events/topology.ts';
import type { Topology } from '../events/topology.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { ProjectState } from '../protocol/settings.ts';
import type { Sql } from '../store/records/records.ts';
import { DeploymentsFeed } from './deployments-feed.ts';
import type { PlatformLog } from './platform-log.ts';

/** A name that was not there is not asked for again for so long. */
const UNKNOWN_MS = 1_000;
const UNKNOWN_MAX = 1_000;

interface Row {
  project: string;
  deployment: string;
  state: ProjectState | null;
}

export interface TopologyFeedOptions {
  connection: pg.ClientConfig;
  /** Called after each reading with all of them. */
  onRead?: (topologies: Topology[]) => void;
  log: PlatformLog;
  now: () => number;
}

export class TopologyFeed {
  readonly #options: TopologyFeedOptions;
  #topologies = new Map<string, { deployment: string; topology: Topology }>();
  readonly #unknown = new BoundedMap<string, number>(UNKNOWN_MAX);
  readonly #feed: DeploymentsFeed;

  constructor(options: TopologyFeedOptions) {
    this.#options = options;
    const { connection, log } = options;
    this.#feed = new DeploymentsFeed({
      connection,
      read: (client) => this.#read(client),
      texts: {
        lost: 'the control role lost Postgres; it publishes by what it knows',
        unreachable: 'the control role cannot reach Postgres',
        notRefreshed: 'what projects have on the bus could not be refreshed',
      },
      log,
    });
  }

  /** Resolves when all have been read once. */
  async start(): Promise<void> {
    await this.#feed.start();
  }

  /** undefined: there is no such project, or nothing is deployed. */
  topologyOf(project: string): Topology | undefined | Promise<Topology | undefined> {
    return this.#topologies.get(project)?.topology ?? this.#ask(project);
  }

  async #ask(project: string): Promise<Topology | undefined> {
    if ((this.#unknown.get(project) ?? 0) > this.#options.now()) return undefined;
    await this.refresh().catch(() => {});
    const found = this.#topologies.get(project)?.topology;
    if (found === undefined) this.#unknown.set(project, this.#options.now() + UNKNOWN_MS);
    return found;
  }

  /** Reads the deployments anew, after any reading that began before this call. Rejects while Postgres is away. */
  async refresh(): Promise<void> {
    await this.#feed.refresh();
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  async #read(sql: Sql): Promise<void> {
    const known = this.#topologies;
    const { rows } = await sql.query<Row>(
      `select p.name as project, d.id as deployment,
              case when not d.id = any($1) then jsonb_build_object('functions', d.state->'functions', 'events', d.state->'events') end as state
         from projects p join deployments d on d.id = p.current_deployment`,
      [[...known.values()].map(({ deployment }) => deployment)],
    );
    this.#topologies = new Map(
      rows.map(({ project, deployment, state }) => [
        project,
        state === null
          ? known.get(project)!
          : { deployment, topology: topologyOf(project, state.events ?? undefined, Object.keys(state.functions)) },
      ]),
    );
    this.#options.onRead?.([...this.#topologies.values()].map(({ topology }) => topology));
  }
}
