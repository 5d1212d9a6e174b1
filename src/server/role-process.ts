// A role in a process of its own, from both sides. The supervisor's side starts it, hands it the configuration over IPC,
// and restarts it with backoff when it ends unasked; the role's side serves until SIGTERM, and ends at once when the
// supervisor is gone (IPC disconnects), so that kill -9 of the supervisor leaves no role behind.
// Callers: supervisor.ts (RoleProcess), main.ts (serveRole).
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { Backoff } from './backoff.ts';
import type { PlatformLog } from './platform-log.ts';
import type { RunningRole } from './role.ts';
import { StartError } from './start-error.ts';

export const ROLES = ['launcher', 'control', 'edge'] as const;
export type RoleName = (typeof ROLES)[number];

type ToRole = { config: Config };
type FromRole = { ready: true } | { failed: string };

/** A launcher whose supervisor is gone has this long to end its sandboxes and remove their cgroups, ms. */
const ORPHAN_CLOSE_MS = 800;
const MAIN = join(import.meta.dirname, '..', 'main.ts');

export class RoleProcess {
  readonly name: RoleName;
  readonly #config: Config;
  readonly #log: PlatformLog;
  readonly #backoff = new Backoff();
  #child: ChildProcess | undefined;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;

  constructor(name: RoleName, config: Config, log: PlatformLog) {
    this.name = name;
    this.#config = config;
    this.#log = log;
  }

  /** Resolves when it serves; rejects with a StartError when its first start fails. From then on it is kept alive. */
  async start(): Promise<void> {
    const child = this.#spawn();
    const outcome = await this.#outcome(child);
    if (outcome !== undefined) {
      this.#stopping = true;
      child.kill('SIGKILL');
      throw new StartError(outcome);
    }
  }

  /** SIGTERM, then SIGKILL after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const late = setTimeout(() => {
      this.#log('warn', `the ${this.name} role did not stop within ${timeoutMs} ms and is killed`);
      child.kill('SIGKILL');
    }, timeoutMs);
    await ended;
    clearTimeout(late);
  }

  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }

  #spawn(): ChildProcess {
    // A session of its own: Ctrl-C in a terminal reaches the supervisor alone, which stops the roles in their order.
    const child = spawn(process.execPath, [...process.execArgv, MAIN, 'role', this.name, this.#config.dataFolder], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      detached: true,
    });
    this.#child = child;
    const message: ToRole = { config: this.#config };
    child.send(message, () => {});
    child.on('error', (error) => this.#log('error', `the ${this.name} role could not be started`, { error: String(error) }));
    child.on('exit', (code, signal) => this.#onExit(code, signal));
    return child;
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#stopping) return;
    const delayMs = this.#backoff.next();
    this.#log('error', `the ${this.name} role ended unexpectedly (${signal ?? `code ${code}`}); it is started again in ${delayMs} ms`);
    this.#restart = setTimeout(() => {
      const child = this.#spawn();
      void this.#outcome(child).then((failed) => {
        if (failed === undefined) {
          this.#backoff.succeeded();
          this.#log('info', `the ${this.name} role serves again`);
        } else this.#log('error', `the ${this.name} role could not start: ${failed}`);
      });
    }, delayMs);
  }

  /** undefined: it serves; else why not. */
  async #outcome(child: ChildProcess): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    child.on('message', (message: FromRole) => resolve('failed' in message ? message.failed : undefined));
    child.once('exit', (code, signal) => resolve(`the ${this.name} role ended with ${signal ?? `code ${code}`} before it served`));
    child.once('error', (error) => resolve(`the ${this.name} role could not be started: ${error.message}`));
    return promise;
  }
}

/** The role's side: runs until SIGTERM. Never returns normally. */
export async function serveRole(name: RoleName, run: (config: Config) => Promise<RunningRole>): Promise<void> {
  if (process.send === undefined) throw new StartError(`the role ${name} is started by \`virga start\`, not by hand`);
  let role: RunningRole | undefined;
  process.on('disconnect', () => {
    // The launcher alone has something to put away that the kernel does not: its sandboxes' cgroups.
    if (name !== 'launcher' || role === undefined) process.exit(1);
    setTimeout(() => process.exit(1), ORPHAN_CLOSE_MS);
    void role.close().finally(() => process.exit(1));
  });
  process.on('SIGINT', () => {});
  const [{ config }] = (await once(process, 'message')) as [ToRole];
  const stopping = Promise.withResolvers<void>();
  process.on('SIGTERM', () => stopping.resolve());
  try {
    role = await run(config);
  } catch (error) {
    const message: FromRole = { failed: error instanceof Error ? error.message : String(error) };
    if (!(error instanceof StartError))
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.send(message, () => process.exit(1));
    return;
  }
  const ready: FromRole = { ready: true };
  process.send(ready);
  await stopping.promise;
  await role.close();
  process.exit(0);
}
