// The relay (relay.ts) as a child process of the launcher, in a user namespace of its own: it has every right over the
// network namespaces that belong there, and none over the machine, also when the launcher is root.
// Invariant: one relay at a time. When it dies, another is started with the same user and network namespaces, after a pause
// that doubles while it keeps dying, until close(). Messages to a relay that is away are dropped: the next is told
// everything by its `opening`. Owned by network.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { FromRelay, RelayOptions, ToRelay } from './wire.ts';

const UP_WITHIN_MS = 10_000;
const RESTART_MS_FIRST = 20;
const RESTART_MS_MAX = 5_000;
/** A relay that lived this long has not failed to start. */
const STEADY_MS = 10_000;
/** stdin, stdout, stderr, IPC; then the user namespace and the network namespaces. */
const INHERITED_FD_FIRST = 4;
const PROGRAM = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'relay.ts')];
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface RelayEvents {
  /** What the next relay begins with. */
  opening(): { options: RelayOptions; namespaces: { id: number; fd: number }[] };
  /** It has begun: what it should know besides can be sent. */
  opened(): void;
  message(message: FromRelay): void;
}

export class RelayProcess {
  readonly #log: (level: 'warn' | 'error', text: string) => void;
  #events: RelayEvents | undefined;
  #child: ChildProcess;
  #userNamespaceFd = -1;
  #startedAtMs = performance.now();
  #delayMs = RESTART_MS_FIRST;
  #restart: NodeJS.Timeout | undefined;
  /** It has been told how to begin. */
  #open = false;
  #closed = false;

  /** Fails with an Error that says why there can be none, and what would help. */
  static async start(log: (level: 'warn' | 'error', text: string) => void): Promise<RelayProcess> {
    const relay = new RelayProcess(log);
    const child = relay.#child;
    let said = '';
    child.stderr!.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-500)));
    const up = Promise.withResolvers<void>();
    const ended = (why: string): void => up.reject(new Error(`${why}${said === '' ? '' : `: ${said.trim()}`}; ${REMEDY}`));
    child.once('error', (error) => ended(`unshare (of util-linux) cannot be run: ${error.message}`));
    child.once('close', (code, signal) => ended(`the relay ended with ${signal ?? code}`));
    child.once('message', () => up.resolve());
    const late = setTimeout(() => ended(`the relay did not start within ${UP_WITHIN_MS} ms`), UP_WITHIN_MS);
    try {
      await up.promise;
      relay.#userNamespaceFd = openSync(`/proc/${child.pid!}/ns/user`, 'r');
      relay.#watch(child);
      return relay;
    } catch (error) {
      await relay.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  private constructor(log: (level: 'warn' | 'error', text: string) => void) {
    this.#log = log;
    this.#child = launch(['unshare', '--user', '--map-root-user', '--', ...PROGRAM], []);
  }

  /** From now on what it says is heard, and it is kept alive. */
  serve(events: RelayEvents): void {
    this.#events = events;
    this.#begin(events.opening());
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get userNamespace(): string {
    return `/proc/${process.pid}/fd/${this.#userNamespaceFd}`;
  }

  send(message: ToRelay): void {
    if (this.#open && this.#child.connected) this.#child.send(message, () => {});
  }

  kill(): void {
    this.#closed = true;
    clearTimeout(this.#restart);
    this.#child.kill('SIGKILL');
    if (this.#userNamespaceFd !== -1) closeSync(this.#userNamespaceFd);
    this.#userNamespaceFd = -1;
  }

  async close(): Promise<void> {
    const child = this.#child;
    const ended = child.pid === undefined || child.exitCode !== null || child.signalCode !== null ? undefined : once(child, 'exit');
    this.kill();
    await ended;
  }

  #begin(opening: Omit<Extract<ToRelay, { op: 'open' }>, 'op'>): void {
    this.#open = true;
    this.send({ op: 'open', ...opening });
    this.#events!.opened();
  }

  #watch(child: ChildProcess): void {
    child.stderr!.on('data', (chunk: Buffer) => this.#log('warn', `the relay says: ${chunk.toString().trim().slice(0, 2_000)}`));
    child.on('message', (message: FromRelay) => {
      if (message.op !== 'hello') this.#events?.message(message);
    });
    child.on('error', (error) => {
      this.#log('error', `the relay cannot be run: ${error.message}`);
      if (child.pid === undefined) this.#again('the relay of sandboxes’ connections was not started');
    });
    child.once('exit', (code, signal) => this.#again(`the relay of sandboxes' connections ended (${signal ?? `code ${code}`})`));
  }

  #again(why: string): void {
    this.#open = false;
    if (this.#closed) return;
    if (performance.now() - this.#startedAtMs > STEADY_MS) this.#delayMs = RESTART_MS_FIRST;
    this.#log('error', `${why}; their connections are cut, and it is started again in ${this.#delayMs} ms`);
    this.#restart = setTimeout(() => this.#startAgain(), this.#delayMs);
    this.#delayMs = Math.min(RESTART_MS_MAX, this.#delayMs * 2);
  }

  #startAgain(): void {
    const { options, namespaces } = this.#events!.opening();
    const inherited = [this.#userNamespaceFd, ...namespaces.map(({ fd }) => fd)];
    const enter = ['nsenter', `--user=/proc/self/fd/${INHERITED_FD_FIRST}`, '--preserve-credentials', '--'];
    this.#startedAtMs = performance.now();
    this.#child = launch([...enter, ...PROGRAM], inherited);
    this.#watch(this.#child);
    const there = namespaces.map(({ id }, index) => ({ id, fd: INHERITED_FD_FIRST + 1 + index }));
    this.#child.once('message', () => this.#begin({ options, namespaces: there }));
  }
}

const REMEDY = 'user and network namespaces, and the packages util-linux, iproute2 and nftables, are what it needs';

function launch([program, ...args]: string[], inherited: number[]): ChildProcess {
  return spawn(program!, args, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', ...inherited],
    env: { PATH: SEARCH_PATH },
    // Ctrl-C in a terminal is for the supervisor alone.
    detached: true,
    cwd: '/',
  });
}
