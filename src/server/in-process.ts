// All roles in this one process, for `virga dev`: the same supervisor, with Postgres as its only child. Invariant: after
// close() nothing of it is left, and a role that hangs in its closing does not hold the rest up. Called by cli/commands/dev.ts.
import type { Config } from '../config/config.ts';
import type { PlatformLog } from './platform-log.ts';
import type { RoleName } from './role-process.ts';
import type { RunningRole } from './role.ts';
import { startSupervisor } from './supervisor.ts';
import type { SupervisedRole } from './supervisor.ts';

export interface InProcess {
  edgeUrl: string;
  controlUrl: string;
  /** Drains and stops everything. */
  close(): Promise<void>;
}

export async function startInProcess(config: Config, log: PlatformLog): Promise<InProcess> {
  const supervisor = await startSupervisor(config, { log, role: (name) => new InProcessRole(name, config, log) });
  return { edgeUrl: supervisor.edgeUrl, controlUrl: supervisor.controlUrl, close: () => supervisor.stop() };
}

class InProcessRole implements SupervisedRole {
  readonly #name: RoleName;
  readonly #config: Config;
  readonly #log: PlatformLog;
  #running: RunningRole | undefined;

  constructor(name: RoleName, config: Config, log: PlatformLog) {
    this.#name = name;
    this.#config = config;
    this.#log = log;
  }

  async start(): Promise<void> {
    this.#running = await run(this.#name, this.#config);
  }

  async stop(timeoutMs: number): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#log('warn', `the ${this.#name} role did not stop within ${timeoutMs} ms`);
      late.resolve();
    }, timeoutMs);
    await Promise.race([running.close(), late.promise]);
    clearTimeout(timer);
  }

  kill(): void {
    void this.stop(0);
  }
}

async function run(name: RoleName, config: Config): Promise<RunningRole> {
  if (name === 'launcher') return await (await import('./launcher.ts')).runLauncher(config);
  if (name === 'control') return await (await import('./control.ts')).runControl(config);
  // Who develops wants to know of every answer that is not what it says to be.
  return await (await import('./edge.ts')).runEdge({ ...config, checkedResponses: 'all' });
}
