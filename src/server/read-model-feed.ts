// Keeps the edge's read model up to date: reads it whole at start, again after every notification from the control role,
// and when asked. Invariant: while Postgres is away the edge serves what it knows; when it is back, the feed catches up.
// Made by edge.ts.
import type pg from 'pg';
import type { Engine } from '../functions/engine.ts';
import { loadProjects } from '../gateway/read-model-load.ts';
import { compileStages, gatewayFeatures } from '../gateway/features.ts';
import type { GatewayServices } from '../gateway/features.ts';
import type { Feature, RouteCompiler } from '../gateway/stage.ts';
import { compileLocalTarget, ownRoutes } from '../gateway/targets.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import type { AccessFeed } from './access-feed.ts';
import { DeploymentsFeed } from './deployments-feed.ts';
import type { PlatformLog } from './platform-log.ts';

export interface FeedOptions {
  connection: pg.ClientConfig;
  model: ReadModel;
  engine: Engine;
  services: GatewayServices;
  access: AccessFeed;
  /** The projects are what the records say, perhaps anew. */
  onProjects: () => Promise<void>;
  log: PlatformLog;
}

/** Its payload names the project whose keys or secrets changed. */
const ACCESS_CHANNEL = 'virga_access';

export class ReadModelFeed {
  readonly #options: FeedOptions;
  readonly #features: Feature[];
  readonly #compiler: RouteCompiler;
  readonly #feed: DeploymentsFeed;

  constructor(options: FeedOptions) {
    this.#options = options;
    const features = gatewayFeatures(options.services);
    this.#features = features;
    this.#compiler = {
      stages: (source) => compileStages(features, source),
      local: (route, folders) =>
        compileLocalTarget(route, { files: options.services.files, folders, publishing: options.services.publishing }),
      own: (source) => ownRoutes(source, options.services),
    };
    this.#feed = new DeploymentsFeed({
      connection: options.connection,
      read: (client) => this.#read(client),
      others: { [ACCESS_CHANNEL]: (project) => this.refreshAccess(project) },
      connected: (client) => options.access.loadKeys(client),
      texts: {
        lost: 'the edge lost Postgres; it serves what it knows',
        unreachable: 'the edge cannot reach Postgres',
        notRefreshed: 'the read model could not be refreshed',
      },
      log: options.log,
    });
  }

  /** Resolves when the model has been read once. */
  async start(): Promise<void> {
    await this.#feed.start();
  }

  /** Reads the model anew, after any reading that began before this call. Rejects while Postgres is away. */
  async refresh(): Promise<void> {
    await this.#feed.refresh();
  }

  /** Reads the keys of a project, and the secrets, anew. Rejects while Postgres is away. */
  async refreshAccess(project: string): Promise<void> {
    const { client } = this.#feed;
    // One connection answers in order, so a later reading is never overtaken by an earlier one.
    await Promise.all([this.#options.access.loadKeys(client, project), this.#options.access.loadSecrets(client)]);
  }

  async close(): Promise<void> {
    await this.#feed.close();
  }

  async #read(client: pg.Client): Promise<void> {
    const { model, engine, access } = this.#options;
    const loaded = await loadProjects(client, this.#compiler, model);
    // Before the routes that need them.
    await access.loadSecrets(client);
    const all = new Set(loaded.projects.map(({ name }) => name));
    const anew = new Set(loaded.projects.filter((project) => model.project(project.name) !== project).map(({ name }) => name));
    model.replaceAll(loaded);
    for (const feature of this.#features) feature.compiled?.({ all, anew });
    engine.setCurrent([...model.projects()].flatMap((project) => project.versions));
    await this.#options.onProjects();
  }
}
