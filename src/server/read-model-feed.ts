// Keeps the edge's read model up to date: reads it whole at start, again after every notification from the control role,
// and when asked. Invariant: while Postgres is away the edge serves what it knows; when it is back, the feed catches up.
// Made by edge.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Engine } from '../functions/engine.ts';
import { loadProjects } from '../gateway/read-model-load.ts';
import { compileStages, gatewayFeatures } from '../gateway/features.ts';
import type { GatewayServices } from '../gateway/features.ts';
import type { Feature, RouteCompiler } from '../gateway/stage.ts';
import { compileLocalTarget, ownRoutes } from '../gateway/targets.ts';
import type { ReadModel } from '../gateway/read-model.ts';
import type { AccessFeed } from './access-feed.ts';
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

const CHANNEL = 'virga_deployments';
/** Its payload names the project whose keys or secrets changed. */
const ACCESS_CHANNEL = 'virga_access';
const RECONNECT_MS = 200;

export class ReadModelFeed {
  readonly #options: FeedOptions;
  readonly #features: Feature[];
  readonly #compiler: RouteCompiler;
  #client: pg.Client | undefined;
  #closed = false;
  #loading: Promise<void> | undefined;
  #again: Promise<void> | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
    const features = gatewayFeatures(options.services);
    this.#features = features;
    this.#compiler = {
      stages: (source) => compileStages(features, source),
      local: (route, folders) =>
        compileLocalTarget(route, { files: options.services.files, folders, publishing: options.services.publishing }),
      own: (source) => ownRoutes(source, options.services.async),
    };
  }

  /** Resolves when the model has been read once. */
  async start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    void this.#run(first.resolve);
    await first.promise;
  }

  /** Reads the model anew, after any reading that began before this call. Rejects while Postgres is away. */
  async refresh(): Promise<void> {
    if (this.#loading === undefined) return this.#load();
    // A reading under way may have begun before the change that the caller means: one more follows it, for all who ask meanwhile.
    this.#again ??= this.#loading
      .catch(() => {})
      .then(() => {
        this.#again = undefined;
        return this.#load();
      });
    return this.#again;
  }

  /** Reads the keys of a project, and the secrets, anew. Rejects while Postgres is away. */
  async refreshAccess(project: string): Promise<void> {
    const client = this.#client;
    if (client === undefined) throw new Error('Postgres is away');
    // One connection answers in order, so a later reading is never overtaken by an earlier one.
    await Promise.all([this.#options.access.loadKeys(client, project), this.#options.access.loadSecrets(client)]);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.end().catch(() => {});
  }

  #load(): Promise<void> {
    this.#loading = this.#loadNow().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #loadNow(): Promise<void> {
    const { model, engine, access } = this.#options;
    if (this.#client === undefined) throw new Error('Postgres is away');
    const loaded = await loadProjects(this.#client, this.#compiler, model);
    // Before the routes that need them.
    await access.loadSecrets(this.#client);
    const all = new Set(loaded.projects.map(({ name }) => name));
    const anew = new Set(loaded.projects.filter((project) => model.project(project.name) !== project).map(({ name }) => name));
    model.replaceAll(loaded);
    for (const feature of this.#features) feature.compiled?.({ all, anew });
    engine.setCurrent([...model.projects()].flatMap((project) => project.versions));
    await this.#options.onProjects();
  }

  /** Holds the listening connection, and makes it anew whenever it breaks. */
  async #run(onFirst: () => void): Promise<void> {
    while (!this.#closed) {
      const client = new pg.Client(this.#options.connection);
      const lost = Promise.withResolvers<unknown>();
      client.on('error', (error) => lost.resolve(error));
      client.on('end', () => lost.resolve(undefined));
      try {
        await client.connect();
        this.#client = client;
        client.on('notification', ({ channel, payload = '' }) => {
          const refreshed = channel === ACCESS_CHANNEL ? this.refreshAccess(payload) : this.refresh();
          refreshed.catch((error: unknown) => this.#options.log('warn', 'the read model could not be refreshed', { error: String(error) }));
        });
        await client.query(`listen ${CHANNEL}`);
        await client.query(`listen ${ACCESS_CHANNEL}`);
        await this.#options.access.loadKeys(client);
        await this.refresh();
        onFirst();
        await lost.promise;
        if (!this.#closed) this.#options.log('warn', 'the edge lost Postgres; it serves what it knows');
      } catch (error) {
        if (!this.#closed) this.#options.log('warn', 'the edge cannot reach Postgres', { error: String(error) });
      }
      this.#client = undefined;
      await client.end().catch(() => {});
      if (!this.#closed) await sleep(RECONNECT_MS);
    }
  }
}
