// The supervisor: data folder, ports, Postgres, migrations, then the roles; afterwards it keeps all of them alive and stops
// them in order: edge (drains), control, launcher, Postgres.
// Invariant: everything that it starts ends with it, also when it is killed with -9. Callers: start.ts; in-process.ts (dev),
// which runs control and edge inside this process.
import { once } from 'node:events';
import { rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Config } from '../config/config.ts';
import { VirgaError } from '../protocol/errors.ts';
import { migrate, MigrationError } from '../store/records/migrate.ts';
import { postgresConnection } from '../store/records/postgres.ts';
import { prepareEmbedded } from '../store/records/embedded/embedded.ts';
import type { EmbeddedPostgres } from '../store/records/embedded/embedded.ts';
import type { PostgresServer } from '../store/records/embedded/server.ts';
import { Backoff } from './backoff.ts';
import { openDataFolder } from './data-folder.ts';
import type { DataFolder } from './data-folder.ts';
import type { PlatformLog } from './platform-log.ts';
import { RoleProcess } from './role-process.ts';
import type { RoleName } from './role-process.ts';
import { sweepCgroups } from '../sandbox/cgroup/hierarchies.ts';
import { sandboxScope } from './sandbox-scope.ts';
import { StartError } from './start-error.ts';

/** A role as the supervisor sees it: a process of its own, or one inside this process. */
export interface SupervisedRole {
  start(): Promise<void>;
  stop(timeoutMs: number): Promise<void>;
  kill(): void;
}

export interface SupervisorOptions {
  log: PlatformLog;
  /** Default: each role is a process. */
  role?: (name: RoleName, config: Config, log: PlatformLog) => SupervisedRole;
}

export interface Supervisor {
  edgeUrl: string;
  controlUrl: string;
  /** Drains and stops everything. */
  stop(): Promise<void>;
  /** Ends everything at once; resolves when nothing but Postgres is left, which goes with this process. */
  kill(): Promise<void>;
}

const ROLE_STOP_MS = 5_000;
const LAUNCHER_KILL_MS = 1_000;

export async function startSupervisor(config: Config, options: SupervisorOptions): Promise<Supervisor> {
  const { log } = options;
  const roleOf = options.role ?? ((name, c, l) => new RoleProcess(name, c, l));
  const folder = await openDataFolder(config);
  const running = new Running(config, { folder, scope: await sandboxScope(config.dataFolder) }, log);
  try {
    await checkPorts(config);
    const launcher = roleOf('launcher', config, log);
    running.roles.set('launcher', launcher);
    // The launcher needs no database: it sweeps and prepares the runtimes meanwhile.
    await bothOrFirstError(launcher.start(), running.startPostgres());
    const [control, edge] = [roleOf('control', config, log), roleOf('edge', config, log)];
    running.roles.set('control', control).set('edge', edge);
    await bothOrFirstError(control.start(), edge.start());
    const urls = { edgeUrl: urlOf(config.edgeHost, config.edgePort), controlUrl: urlOf(config.controlHost, config.controlPort) };
    await writeEndpoint(config.dataFolder, urls);
    return { ...urls, stop: () => running.stop(), kill: () => running.kill() };
  } catch (error) {
    // In order, not killed: a launcher that is killed leaves empty cgroups to the next start.
    await running.stop();
    throw error;
  }
}

/** What is up, and how it goes down. */
class Running {
  readonly roles = new Map<RoleName, SupervisedRole>();
  readonly #config: Config;
  readonly #folder: DataFolder;
  readonly #scope: string;
  readonly #log: PlatformLog;
  readonly #backoff = new Backoff();
  #embedded: EmbeddedPostgres | undefined;
  #postgres: PostgresServer | undefined;
  #restarting: Promise<void> | undefined;
  readonly #stopping = new AbortController();

  constructor(config: Config, { folder, scope }: { folder: DataFolder; scope: string }, log: PlatformLog) {
    this.#config = config;
    this.#folder = folder;
    this.#scope = scope;
    this.#log = log;
  }

  async startPostgres(): Promise<void> {
    try {
      if (this.#config.postgresUrl === null) await this.#startEmbedded();
      await this.#migrate();
    } catch (error) {
      // Expected reasons (no programs, a full disk, a database that is too new) are worded for people already.
      if (error instanceof VirgaError || error instanceof MigrationError) throw new StartError(error.message, { cause: error });
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.roles.get('edge')?.stop(this.#config.limits.drainMs + ROLE_STOP_MS);
    await this.roles.get('control')?.stop(ROLE_STOP_MS);
    await this.#stopLauncher(ROLE_STOP_MS);
    // A server that is just being started again would otherwise come up after this, and stay.
    await this.#restarting;
    await this.#postgres?.stop();
    await rm(join(this.#config.dataFolder, 'endpoint.json'), { force: true });
    if (!this.#config.runFolder.startsWith(this.#config.dataFolder)) await rm(this.#config.runFolder, { recursive: true, force: true });
    await this.#folder.release().catch(() => {});
  }

  /** The launcher is asked, not killed: it has cgroups to remove, which takes it some ms. */
  async kill(): Promise<void> {
    this.#stopping.abort();
    this.roles.get('edge')?.kill();
    this.roles.get('control')?.kill();
    await this.#stopLauncher(LAUNCHER_KILL_MS);
  }

  /** One that had to be killed, or was killed by others, leaves cgroups. */
  async #stopLauncher(timeoutMs: number): Promise<void> {
    await this.roles.get('launcher')?.stop(timeoutMs);
    await sweepCgroups(this.#scope);
  }

  async #migrate(): Promise<void> {
    const client = new pg.Client(postgresConnection(this.#config));
    client.on('error', () => {});
    try {
      try {
        await client.connect();
      } catch (error) {
        if (this.#config.postgresUrl === null) throw error;
        throw new StartError(
          `PostgreSQL at VIRGA_POSTGRES_URL cannot be reached: ${error instanceof Error ? error.message : String(error)}`,
          { cause: error },
        );
      }
      const { applied } = await migrate(client);
      if (applied.length > 0) this.#log('info', `migrations applied: ${applied.join(', ')}`);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async #startEmbedded(): Promise<void> {
    const { dataFolder, runFolder } = this.#config;
    this.#embedded ??= await prepareEmbedded({
      cluster: join(dataFolder, 'postgres'),
      socketFolder: runFolder,
      onLog: (severity, text) =>
        this.#log(/^(?:ERROR|FATAL|PANIC|WARNING)$/.test(severity) ? 'warn' : 'debug', `postgres: ${severity}: ${text}`),
    });
    const server = await this.#embedded.start();
    this.#postgres = server;
    void server.exited.then(({ code, signal }) => (this.#restarting = this.#onPostgresExit(signal ?? `code ${code}`)));
  }

  /** The roles keep what they know and reconnect by themselves; only the server has to come back. */
  async #onPostgresExit(how: string): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const delayMs = this.#backoff.next();
      this.#log('error', `Postgres ended unexpectedly (${how}); it is started again in ${delayMs} ms`);
      await sleep(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#stopping.signal.aborted) return;
      try {
        await this.#startEmbedded();
        this.#backoff.succeeded();
        this.#log('info', 'Postgres serves again');
        return;
      } catch (error) {
        how = error instanceof Error ? error.message : String(error);
      }
    }
  }
}

async function bothOrFirstError(...tasks: Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function checkPorts(config: Config): Promise<void> {
  const ports = [
    { host: config.edgeHost, port: config.edgePort, name: 'edge', flag: '--edge-port', variable: 'VIRGA_EDGE_PORT' },
    { host: config.controlHost, port: config.controlPort, name: 'control', flag: '--control-port', variable: 'VIRGA_CONTROL_PORT' },
  ];
  if (config.httpsPort !== null) {
    ports.push({ host: config.edgeHost, port: config.httpsPort, name: 'HTTPS', flag: '--https-port', variable: 'VIRGA_HTTPS_PORT' });
  }
  const problems: string[] = [];
  for (const { host, port, name, flag, variable } of ports) {
    const server = createServer();
    try {
      const listening = once(server, 'listening');
      server.listen(port, host);
      await listening;
      server.close();
      await once(server, 'close');
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why =
        code === 'EADDRINUSE'
          ? 'is taken by another program'
          : code === 'EACCES'
            ? 'may not be used by this user'
            : code === 'EADDRNOTAVAIL'
              ? `cannot be used: this machine has no address ${host}`
              : `cannot be used: ${message}`;
      problems.push(`the ${name} port ${port} on ${host} ${why}; choose another with ${flag} (${variable})`);
    }
  }
  if (problems.length > 0) throw new StartError(problems.join('\n'));
}

function urlOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  return `http://${reachable}:${port}`;
}

/** Where the CLI on this node finds the control API; whole or absent, never half written. */
async function writeEndpoint(dataFolder: string, urls: { edgeUrl: string; controlUrl: string }): Promise<void> {
  const file = join(dataFolder, 'endpoint.json');
  await writeFile(`${file}.new`, `${JSON.stringify({ ...urls, pid: process.pid })}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
