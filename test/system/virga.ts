// A real Virga for a test: started through bin/virga on free ports with a data folder of its own, driven over HTTP and the
// CLI, stopped and removed afterwards. Invariant: after disposal no process, mount, cgroup or file of it is left: leftovers()
// says what is. Used by every test in test/system and test/faults.
import { createHash } from 'node:crypto';
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export const ROOT = join(import.meta.dirname, '..', '..');
const BIN = join(ROOT, 'bin', 'virga');
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

export interface CliResult {
  code: number;
  stdout: string;
  stderr: string;
  json: <T>() => T;
}

export interface Virga extends AsyncDisposable {
  readonly edgeUrl: string;
  readonly controlUrl: string;
  readonly dataFolder: string;
  readonly process: ChildProcess;
  /** Time from spawn to the ready line, ms. */
  readonly readyMs: number;
  readonly token: string;
  /** What it wrote to stderr so far. */
  log(): string;
  /** Runs the CLI against it. */
  cli(args: string[], options?: { cwd?: string; input?: string; env?: Record<string, string> }): Promise<CliResult>;
  /** Calls a path of a project. */
  fetch(project: string, path: string, init?: RequestInit): Promise<Response>;
  /** Writes a project into a new folder and deploys it. */
  deploy(files: Record<string, string>): Promise<CliResult & { folder: string }>;
  /** Process ids by role, e.g. `edge`, `control`, `launcher`, `postgres`. */
  pids(): Record<string, number[]>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface StartOptions {
  dataFolder?: string;
  edgePort?: number;
  controlPort?: number;
  env?: Record<string, string>;
  args?: string[];
}

/** Below those that the kernel gives to outgoing connections (32768 and up), so that none takes one between its choice and its use. */
const [FIRST_PORT, PORTS] = [12_000, 20_000];
/** Each process of the tests begins at another place, and goes on from there. */
let lastPort = (process.pid * 37) % PORTS;

/** Never the same twice in one process. */
export async function freePort(): Promise<number> {
  for (;;) {
    lastPort = (lastPort + 1) % PORTS;
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    server.once('error', () => resolve(false));
    server.listen(FIRST_PORT + lastPort, '127.0.0.1', () => resolve(true));
    if (!(await promise)) continue;
    server.close();
    await once(server, 'close');
    return FIRST_PORT + lastPort;
  }
}

export async function temporaryFolder(name = 'virga-test-'): Promise<string> {
  return mkdtemp(join(tmpdir(), name));
}

/** As a first start left it, if the run of the tests has made one (first-start.ts): a database that is created and empty. */
async function newDataFolder(parent: string): Promise<string> {
  const dataFolder = join(parent, 'data');
  const started = join(tmpdir(), 'virga-started');
  if (existsSync(started)) await promisify(execFile)('cp', ['--archive', started, dataFolder]);
  return dataFolder;
}

/** Starts `virga start`; rejects with what it said when it ends before it is ready. */
export async function startVirga(options: StartOptions = {}): Promise<Virga> {
  const own = options.dataFolder === undefined ? await temporaryFolder() : undefined;
  const dataFolder = options.dataFolder ?? (await newDataFolder(own!));
  const [edgePort, controlPort] = [options.edgePort ?? (await freePort()), options.controlPort ?? (await freePort())];
  const startedAt = performance.now();
  const child = spawn(
    BIN,
    [
      'start',
      '--data',
      dataFolder,
      '--edge-port',
      String(edgePort),
      '--control-port',
      String(controlPort),
      '--log',
      'json',
      ...(options.args ?? []),
    ],
    { cwd: own ?? dirname(dataFolder), env: { ...cleanEnvironment(), ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-200_000)));
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready within ${START_TIMEOUT_MS} ms:\n${stderr}`)), START_TIMEOUT_MS);
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (!/^Virga is ready/m.test(stdout)) return;
      clearTimeout(timer);
      resolve();
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      reject(
        Object.assign(new Error(`virga start ended with ${code ?? signal} before it was ready:\n${stdout}${stderr}`), { code, stderr }),
      );
    });
  });
  try {
    await ready;
  } catch (error) {
    child.kill('SIGKILL');
    if (own !== undefined) await rm(own, { recursive: true, force: true });
    throw error;
  }
  const readyMs = performance.now() - startedAt;
  const edgeUrl = `http://127.0.0.1:${edgePort}`;
  const folders: string[] = [];
  const virga: Virga = {
    edgeUrl,
    controlUrl: `http://127.0.0.1:${controlPort}`,
    dataFolder,
    process: child,
    readyMs,
    token: readFileSync(join(dataFolder, 'operator-token'), 'utf8').trim(),
    log: () => stderr,
    cli: (args, cliOptions = {}) => runCli(args, { ...cliOptions, env: { VIRGA_DATA: dataFolder, ...cliOptions.env } }),
    fetch: (project, path, init) => fetch(`${edgeUrl}/@${project}${path}`, init),
    deploy: async (files) => {
      const folder = await temporaryFolder('virga-project-');
      folders.push(folder);
      await writeFiles(folder, files);
      return { ...(await virga.cli(['deploy', folder, '--json'])), folder };
    },
    pids: () => rolesOf(child.pid!),
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'close');
      child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(late);
    },
    [Symbol.asyncDispose]: async () => {
      await virga.stop();
      for (const folder of [...folders, ...(own === undefined ? [] : [own])]) await rm(folder, { recursive: true, force: true });
    },
  };
  return virga;
}

export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
}

export function runCli(args: string[], options: { cwd?: string; input?: string; env?: Record<string, string> } = {}): Promise<CliResult> {
  return new Promise((resolve) => {
    const child = execFile(
      BIN,
      args,
      { cwd: options.cwd ?? tmpdir(), env: { ...cleanEnvironment(), ...options.env }, maxBuffer: 64 * 1024 * 1024, timeout: 120_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 99;
        resolve({ code, stdout, stderr, json: <T>() => JSON.parse(stdout) as T });
      },
    );
    child.stdin?.end(options.input ?? '');
  });
}

/** The environment without anything that would change what Virga does. */
export function cleanEnvironment(): Record<string, string> {
  const { PATH, HOME, LANG, TMPDIR, VIRGA_TEST_SANDBOX } = process.env;
  return Object.fromEntries(
    // Any test over another driver: VIRGA_TEST_SANDBOX=oci.
    Object.entries({ PATH, HOME, LANG, TMPDIR, VIRGA_SANDBOX: VIRGA_TEST_SANDBOX }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
}

interface ProcessLine {
  pid: number;
  parent: number;
  command: string;
}

export function processes(): ProcessLine[] {
  const lines: ProcessLine[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      if (command !== '') lines.push({ pid: Number(name), parent, command });
    } catch {
      // It ended while the list was read.
    }
  }
  return lines;
}

export function descendants(pid: number): ProcessLine[] {
  const all = processes();
  const found = all.filter((line) => line.pid === pid);
  for (const line of found) found.push(...all.filter((other) => other.parent === line.pid));
  return found;
}

function rolesOf(supervisor: number): Record<string, number[]> {
  const roles: Record<string, number[]> = {};
  for (const { pid, command } of descendants(supervisor)) {
    const role = /main\.ts role (\w+)/.exec(command)?.[1] ?? (/bin\/postgres -D/.test(command) ? 'postgres' : undefined);
    if (role !== undefined) (roles[role] ??= []).push(pid);
  }
  return roles;
}

/** What a stopped Virga left behind: processes, mounts, cgroups, files in /tmp that name its data folder. */
export function leftovers(dataFolder: string): string[] {
  const left = processes()
    .filter(({ command }) => command.includes(dataFolder))
    .map(({ pid, command }) => `process ${pid}: ${command.slice(0, 200)}`);
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) if (line.includes(dataFolder)) left.push(`mount ${line}`);
  if (existsSync(dataFolder)) left.push(...cgroupsLeft(realpathSync(dataFolder)).map((folder) => `cgroup ${folder}`));
  return left;
}

/** The cgroups of the sandboxes of one data folder, given as its real path: it may be gone by now. */
export function cgroupsLeft(dataFolder: string): string[] {
  const scope = createHash('sha256').update(dataFolder).digest('hex').slice(0, 12);
  const mounts = [...readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+) cgroup2? /gm)].map(([, mount]) => mount!);
  return mounts.flatMap((mount) => globSync(`**/virga-${scope}`, { cwd: mount }).map((found) => join(mount, found)));
}

/** Records are written in batches a fraction of a second later: asks until they are there, at most 5 s. */
export async function eventually<T>(ask: () => Promise<T | undefined>, withinMs = 20_000): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > until) throw new Error(`it did not come about within ${withinMs / 1_000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
