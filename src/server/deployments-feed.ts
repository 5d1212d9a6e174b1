// Follows the deployments in Postgres: holds a connection that listens, reads when it has one, after each notification, and when asked.
// Invariants: one reading at a time, and whoever asks gets one that began after they asked; a connection that breaks is made anew; what was
// read stays while Postgres is away. Used by read-model-feed.ts (edge) and topology-feed.ts (control).
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { LatestReading } from '../lib/latest-reading.ts';
import type { PlatformLog } from './platform-log.ts';

export interface DeploymentsFeedOptions {
  connection: pg.ClientConfig;
  read: (client: pg.Client) => Promise<void>;
  /** Of other channels, by name. */
  others?: Record<string, (payload: string) => Promise<void>>;
  /** Before the first reading on a new connection. */
  connected?: (client: pg.Client) => Promise<void>;
  /** For the log: who lost Postgres, and what goes on all the same; what could not be refreshed. */
  texts: { lost: string; unreachable: string; notRefreshed: string };
  log: PlatformLog;
}

const CHANNEL = 'virga_deployments';
const RECONNECT_MS = 200;

export class DeploymentsFeed {
  readonly #options: DeploymentsFeedOptions;
  readonly #reading: LatestReading;
  #client: pg.Client | undefined;
  #closed = false;

  constructor(options: DeploymentsFeedOptions) {
    this.#options = options;
    this.#reading = new LatestReading(async () => options.read(this.client));
  }

  /** Throws while Postgres is away. */
  get client(): pg.Client {
    if (this.#client === undefined) throw new Error('Postgres is away');
    return this.#client;
  }

  /** Resolves when all was read once. */
  async start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    void this.#run(first.resolve);
    await first.promise;
  }

  /** Reads anew, after any reading that began before this call. Rejects while Postgres is away. */
  async refresh(): Promise<void> {
    await this.#reading.anew();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.end().catch(() => {});
  }

  /** Holds the listening connection, and makes it anew whenever it breaks. */
  async #run(onFirst: () => void): Promise<void> {
    const { connection, connected, others = {}, texts, log } = this.#options;
    while (!this.#closed) {
      const client = new pg.Client(connection);
      const lost = Promise.withResolvers<unknown>();
      client.on('error', (error) => lost.resolve(error));
      client.on('end', () => lost.resolve(undefined));
      try {
        await client.connect();
        this.#client = client;
        client.on('notification', ({ channel, payload = '' }) => {
          const refreshed = others[channel]?.(payload) ?? this.refresh();
          refreshed.catch((error: unknown) => log('warn', texts.notRefreshed, { error: String(error) }));
        });
        for (const channel of [CHANNEL, ...Object.keys(others)]) await client.query(`listen ${channel}`);
        await connected?.(client);
        await this.refresh();
        onFirst();
        await lost.promise;
        if (!this.#closed) log('warn', texts.lost);
      } catch (error) {
        if (!this.#closed) log('warn', texts.unreachable, { error: String(error) });
      }
      this.#client = undefined;
      await client.end().catch(() => {});
      if (!this.#closed) await sleep(RECONNECT_MS);
    }
  }
}
